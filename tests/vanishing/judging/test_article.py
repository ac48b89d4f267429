"""The article's claims: limits as written down first, and formulas that a reader can run."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import random_study
from vanishing.judging import effects
from vanishing.judging.article import CLAIMS, EXPECTED_SETTINGS, WRITTEN_DOWN
from vanishing.judging.claims import Claim
from vanishing.judging.mismatches import mismatch
from vanishing.judging.verdicts import REFUTED, SUPPORTED
from vanishing.params.diagnose import Params
from vanishing.params.load import load

SHIPPED = load(Params, ROOT / "params.yaml")
TABLES = random_study(list(EXPECTED_SETTINGS))
each_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)


def test_the_limits_are_those_that_were_written_down_beforehand() -> None:
    text = (ROOT / WRITTEN_DOWN).read_text()
    limit = r"(?:above|below) -?[\d.]+"
    written: dict[str, tuple[str, str, str]] = {}
    for line in text.splitlines():
        if match := re.fullmatch(rf"\| (.+?) \| .+ \| (\w+) \| ({limit}) \| ({limit}) \|", line):
            ids, over, supported, refuted = match.groups()
            written |= dict.fromkeys(ids.split(", "), (over, supported, refuted))
    coded = {claim.id: (claim.over, str(claim.supported), str(claim.refuted)) for claim in CLAIMS}
    assert coded == written


def test_no_two_claims_share_an_id_or_a_statement() -> None:
    for values in ({claim.id for claim in CLAIMS}, {claim.statement for claim in CLAIMS}):
        assert len(values) == len(CLAIMS)


@each_claim
def test_the_shipped_study_has_the_variants_of_every_claim(claim: Claim) -> None:
    assert mismatch(claim.effect, EXPECTED_SETTINGS, SHIPPED) is None


@each_claim
def test_no_effect_can_be_beyond_both_limits(claim: Claim) -> None:
    above, below = claim.supported, claim.refuted
    if above.relation == "<":
        above, below = below, above
    assert (above.relation, below.relation) == (">", "<")
    assert above.value > below.value
    assert set(claim.because) <= {SUPPORTED, REFUTED}


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    """Give the names that a reader has who ran the file of effects.py alone."""
    names: dict[str, Any] = {"t": TABLES}
    source = Path(effects.__file__).read_text(encoding="utf-8")
    exec(compile(source, "effects.py", "exec"), names)  # noqa: S102 - as a reader would run it
    return names


@each_claim
def test_a_reader_who_runs_the_formula_gets_the_effect(
    claim: Claim, namespace: dict[str, Any]
) -> None:
    names = dict(namespace)
    exec(compile(claim.formula, claim.id, "exec"), names)  # noqa: S102
    computed = claim.effect.values(TABLES)
    assert len(computed) == {"initialisations": 4, "seeds": 2}[claim.over] or claim.id.startswith(
        "falls-"  # over the initialisations of the sweep, of which there are 2
    )
    assert computed.notna().all()
    pd.testing.assert_series_equal(names["effect"], computed, check_exact=True)
