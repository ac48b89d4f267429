"""Thresholds and expectations for trainings outside of a study, which have no params.yaml."""

from pathlib import Path

from pydantic import ConfigDict

from vanishing.params.base import Section
from vanishing.params.diagnose import Debugger, Diagnose, Expected
from vanishing.params.load import load

DEFAULT = Path(__file__).with_name("rules.yaml")  # the numbers of the article's study
DEBUGGER = "debugger"  # the name of the profile below
_DEBUGGER = Path(__file__).with_name("debugger.yaml")


class Rules(Section):
    """A file with a section `diagnose`, as every params.yaml has it."""

    model_config = ConfigDict(extra="ignore")

    diagnose: Diagnose


class DebuggerRules(Section):
    """The file of the profile of that name."""

    diagnose: Debugger


class Expectations(Section):
    """A file with a section `expect`, as params.yaml has it of each variant."""

    model_config = ConfigDict(extra="ignore")

    expect: Expected


def read_rules(path: Path = DEFAULT) -> Debugger:
    """Read the thresholds of a file; see `load` for its errors.

    Args:
        path: Of the file; or DEBUGGER, the rules and defaults of Amazon SageMaker Debugger alone,
            whatever this project's are.

    Returns:
        The thresholds; those of `Diagnose` where the path is that of a file.
    """
    if path == Path(DEBUGGER):
        return load(DebuggerRules, _DEBUGGER).diagnose
    return load(Rules, path).diagnose


def read_expectations(path: Path) -> dict[str, bool | str]:
    """Read the expectations of a file; see `load` for its errors."""
    return load(Expectations, path).expect
