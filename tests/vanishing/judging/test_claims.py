"""The claims: their verdicts, and that their rules are those written down beforehand."""

import math
import re
from typing import Literal

import pandas as pd
import pytest

from tests.support.study import ROOT
from vanishing.judging.article import CLAIMS
from vanishing.judging.claims import CAST, Claim, judge, miscast
from vanishing.judging.effects import Tables
from vanishing.params import base as section
from vanishing.params.diagnose import Params
from vanishing.stats.intervals import arithmetic_mean

SHIPPED = section.load(Params, ROOT / "params.yaml").variants


def claim(
    *values: float, side: Literal["above", "below"], supported: float, refuted: float
) -> Claim:
    """Return a claim whose effects are the given ones."""

    def some_effect(_t: Tables) -> pd.Series:
        """Something is so."""
        return pd.Series(values)

    return Claim(
        some_effect,
        (),
        "an effect",
        "initialisations",
        side,
        supported,
        refuted,
        arithmetic_mean,
        {"refuted": "theory"},
    )


@pytest.mark.parametrize(
    ("values", "side", "verdict"),
    [
        ([3.0], "above", "supported"),
        ([1.5], "above", "inconclusive"),  # between the limits
        ([0.5], "above", "refuted"),
        ([2.0], "above", "inconclusive"),  # at a limit
        ([2.5, 2.6, 2.7], "above", "supported"),
        ([1.0, 4.0, 9.0], "above", "inconclusive"),  # the interval straddles a limit
        ([0.1, 0.2, 0.9], "above", "refuted"),
        ([math.nan], "above", "inconclusive"),
        ([], "above", "inconclusive"),
    ],
)
def test_verdict_follows_from_the_whole_interval(
    values: list[float], side: Literal["above", "below"], verdict: str
) -> None:
    row = judge(claim(*values, side=side, supported=2, refuted=1), {}, {})
    assert row["verdict"] == verdict
    assert row["n"] == len(values)
    assert (row["interval"] is None) == (len(values) < 2)
    assert row["because"] == ("theory" if verdict == "refuted" else None)
    mirrored = claim(*(-value for value in values), side="below", supported=-2, refuted=-1)
    assert judge(mirrored, {}, {})["verdict"] == verdict


def test_a_claim_shows_its_statement_rule_and_lines() -> None:
    (swish,) = [each for each in CLAIMS if each.name == "swish-beats-relu"]
    assert swish.statement == "Swish ends with a better network than ReLU."
    assert swish.rule == "supported above 0.01, refuted below -0.01"
    assert swish.formula.splitlines() == [
        'accuracy = at_the_end(t)["test_accuracy"]',
        'effect = of(accuracy, "swish") - of(accuracy, "relu")',
    ]


def test_the_rules_are_those_that_were_written_down_beforehand() -> None:
    text = (ROOT / "docs/decisions/0005-the-rules-of-the-claims.md").read_text()
    written = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        limits = r"(above|below) (-?[\d.]+)"
        if len(cells) == 5 and (supported := re.fullmatch(limits, cells[3])):
            refuted = re.fullmatch(limits, cells[4].rstrip(" |"))
            assert refuted
            for name in cells[0].split(", "):
                written[name] = (
                    cells[2],
                    supported[1],
                    float(supported[2]),
                    float(refuted[2]),
                )
    coded = {each.name: (each.over, each.side, each.supported, each.refuted) for each in CLAIMS}
    assert coded == written


@pytest.mark.parametrize("each", CLAIMS, ids=lambda each: each.name)
def test_the_shipped_study_has_what_each_claim_is_about(each: Claim) -> None:
    assert set(each.about) <= set(CAST)
    assert miscast(each, SHIPPED) is None
    assert (each.supported > each.refuted) == (each.side == "above")


def test_a_variant_that_is_not_what_its_name_says_is_refused() -> None:
    (skip,) = [each for each in CLAIMS if each.name == "skip-eases"]
    gone = {name: v for name, v in SHIPPED.items() if name != "sigmoid-skip"}
    assert miscast(skip, gone) == "params.yaml has no variant sigmoid-skip"
    for key, value, said in (
        ("skip", False, "params.yaml has sigmoid-skip with another skip than its name says"),
        ("depth", 7, "params.yaml gives sigmoid-skip and sigmoid different values of depth"),
    ):
        changed = SHIPPED["sigmoid-skip"].model_copy(update={key: value})
        assert miscast(skip, SHIPPED | {"sigmoid-skip": changed}) == said
        row = judge(skip, {}, SHIPPED | {"sigmoid-skip": changed})
        assert (row["verdict"], row["evidence"], row["n"]) == ("inconclusive", said, 0)
