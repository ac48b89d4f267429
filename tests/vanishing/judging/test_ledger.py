"""A module of claims: what it should have, and the part of it that a reader can run."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.study import tiny_params
from vanishing.errors import StudyError
from vanishing.judging import effects
from vanishing.judging.ledger import load_ledger, shown_source
from vanishing.params.diagnose import Judged

MODULE = '''\
"""Claims."""

import math

import pandas as pd

from vanishing.judging.claims import Claim
from vanishing.judging.effects import Tables, final_accuracy
from vanishing.judging.formulas import Effect
from vanishing.judging.limits import Limit

WRITTEN_DOWN = "docs/decisions/0021-claims.md"
EXPECTED_SETTINGS = {"sigmoid": {"activation": "sigmoid"}, "relu": {"activation": "relu"}}
_BASE = 10
_SCALE = _BASE**2


def percent(t: Tables, variant: str) -> pd.Series:
    """Return the accuracy in per cent."""
    return final_accuracy(t, variant) * _SCALE + math.floor(0.5)


def remedy(name: str, statement: str, effect: Effect) -> Claim:
    """Return a claim."""
    return Claim(
        id=name,
        kind="remedy",
        statement=statement,
        quantity="difference in per cent",
        effect=effect,
        over="seeds",
        supported=Limit(">", 1),
        refuted=Limit("<", 0),
    )


CLAIMS = (
    remedy("relu-wins", "ReLU wins.", Effect(percent, "relu") - Effect(percent, "sigmoid")),
)
'''


@pytest.fixture(autouse=True)
def fresh_module(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test import a `claims.py` of its own in the working directory."""
    assert Path.cwd() == workspace
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "claims", raising=False)


def study(claims: str = "claims.py") -> Judged:
    """Return parameters that name a module of claims."""
    return Judged.model_validate(tiny_params() | {"claims": claims})


OPENING = """
from vanishing.judging.ledger import Opening

OPENING = Opening("Does it learn?", "A network is trained.", "learning-curves")
"""


def test_a_ledger_may_say_how_the_report_begins() -> None:
    Path("claims.py").write_text(MODULE + OPENING)
    opening = load_ledger(study()).opening
    assert opening is not None
    assert opening.question == "Does it learn?"
    assert opening.figure == "learning-curves"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("learning-curves", "curves", "OPENING.figure should be one of attenuation-by-variant,"),
        ("Does it learn?", "Does it\\nlearn?", "OPENING.question .* should be one line"),
        ("OPENING = Opening", "OPENING = ", "OPENING should be a .*Opening"),
    ],
)
def test_an_opening_that_no_report_can_begin_with_is_refused(
    old: str, new: str, problem: str
) -> None:
    Path("claims.py").write_text(MODULE + OPENING.replace(old, new))
    with pytest.raises(StudyError, match=problem):
        load_ledger(study())


def test_a_ledger_has_claims_settings_and_the_page_that_was_written_first() -> None:
    Path("claims.py").write_text(MODULE)
    ledger = load_ledger(study())
    assert [claim.id for claim in ledger.claims] == ["relu-wins"]
    assert ledger.expected["relu"] == {"activation": "relu"}
    assert ledger.written_down == "docs/decisions/0021-claims.md"
    article = load_ledger(study("vanishing/judging/article.py"))
    assert len(article.claims) > 20


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("import math", "import maths", "No module named 'maths'"),
        ("WRITTEN_DOWN", "WRITTEN", "has no WRITTEN_DOWN"),
        ('"relu": {"activation": "relu"}', "", "relu-wins is about relu, of which EXPECTED_SETT"),
        ("CLAIMS = (", "CLAIMS = (1,", "CLAIMS should have entries of vanishing.judging.claims"),
        ("CLAIMS = (", "CLAIMS = 2 * (", "two claims have the id relu-wins"),
        ("Effect(percent, ", "Effect(Tables, ", "relu-wins calls dict of builtins; it should be a"),
    ],
)
def test_a_module_that_is_no_ledger_is_one_line(old: str, new: str, problem: str) -> None:
    Path("claims.py").write_text(MODULE.replace(old, new))
    with pytest.raises(StudyError) as raised:
        load_ledger(study())
    assert str(raised.value).startswith("params.yaml: claims: claims.py: ")
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_reader_who_runs_what_is_shown_gets_the_effect() -> None:
    Path("claims.py").write_text(MODULE)
    ledger = load_ledger(study())
    (claim,) = ledger.claims
    columns = ["seed", "variant", "epoch", "test_accuracy"]
    rows = [(0, "relu", 1, 0.9), (0, "sigmoid", 1, 0.25)]
    tables = {"history": pd.DataFrame(rows, columns=columns)}
    names: dict[str, Any] = {"t": tables}
    text = Path(effects.__file__).read_text() + shown_source(MODULE, ledger) + "\n" + claim.formula
    exec(compile(text, "report", "exec"), names)  # noqa: S102 - as a reader would run it
    pd.testing.assert_series_equal(names["effect"], claim.effect.values(tables))
    assert names["effect"].tolist() == [65.0]


def test_what_is_shown_is_what_the_effects_need() -> None:
    Path("claims.py").write_text(MODULE)
    shown = shown_source(MODULE, load_ledger(study()))
    parts = ["import math", "import pandas as pd", "_BASE = 10", "_SCALE = _BASE**2"]
    assert shown.startswith("\n\n\n".join([*parts, "def percent("]))
    assert '"""Return the accuracy in per cent."""' in shown
    for hidden in ("vanishing", "CLAIMS", "def remedy"):
        assert hidden not in shown
    article = load_ledger(study("vanishing/judging/article.py"))
    assert shown_source("X = 1\n", article) == ""
