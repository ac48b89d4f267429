"""Thresholds and expectations for trainings outside of a study, which have no params.yaml."""

from pathlib import Path

from pydantic import ConfigDict

from vanishing.params.base import Section
from vanishing.params.diagnose import Diagnose, Rule
from vanishing.params.load import load

DEFAULT = Path(__file__).with_name("rules.yaml")  # the numbers of the article's study


class Rules(Section):
    """A file with a section `diagnose`, as every params.yaml has it."""

    model_config = ConfigDict(extra="ignore")

    diagnose: Diagnose


class Expectations(Section):
    """A file with a section `expect`: {rule: whether it should find a problem}."""

    model_config = ConfigDict(extra="ignore")

    expect: dict[Rule, bool]


def read_rules(path: Path = DEFAULT) -> Diagnose:
    """Read the thresholds of a file; see `load` for its errors."""
    return load(Rules, path).diagnose


def read_expectations(path: Path) -> dict[str, bool]:
    """Read the expectations of a file; see `load` for its errors."""
    return load(Expectations, path).expect
