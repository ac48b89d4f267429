"""Claims: the verdict follows from the interval, and only variants that fit are compared."""

import math

import pandas as pd
import pytest

from tests.support.study import ROOT
from vanishing.judging.claims import EXPECTED_SETTINGS, Claim, judge, mismatch
from vanishing.judging.effects import Tables, attenuation
from vanishing.judging.formulas import Effect
from vanishing.judging.limits import Limit
from vanishing.params.diagnose import Params
from vanishing.params.load import load

SHIPPED = load(Params, ROOT / "params.yaml").variants


def all_values(t: Tables, runs: pd.Series) -> pd.Series:
    """Return all runs; the tables have nothing to add."""
    assert t == {}
    return runs


def claim_about(values: list[float], supported: Limit, refuted: Limit) -> Claim:
    """Return a claim whose effects are the given ones."""

    def some_values(_t: Tables) -> pd.Series:
        return pd.Series(values, dtype=float)

    return Claim(
        id="some-claim",
        kind="cause",
        statement="Something is so.",
        quantity="an effect",
        effect=Effect(all_values, some_values),
        over="initialisations",
        supported=supported,
        refuted=refuted,
        because={"refuted": "theory"},
    )


VERDICTS = [
    ([3.0], "supported"),
    ([1.5], "inconclusive"),  # between the limits
    ([0.5], "refuted"),
    ([2.0], "inconclusive"),  # at a limit
    ([2.5, 2.6, 2.7], "supported"),
    ([1.0, 4.0, 9.0], "inconclusive"),  # a limit is within the interval
    ([0.1, 0.2, 0.9], "refuted"),
    ([math.nan], "inconclusive"),
    ([], "inconclusive"),
]


@pytest.mark.parametrize(("values", "verdict"), VERDICTS)
def test_the_verdict_follows_from_the_whole_interval(values: list[float], verdict: str) -> None:
    row = judge(claim_about(values, Limit(">", 2), Limit("<", 1)), {}, {})
    assert row["verdict"] == verdict
    assert row["n"] == len(values)
    assert (row["interval"] is None) == (len(values) < 2)
    assert row["because"] == ("theory" if verdict == "refuted" else None)


@pytest.mark.parametrize(("values", "verdict"), VERDICTS)
def test_the_verdict_is_the_same_mirrored(values: list[float], verdict: str) -> None:
    mirrored = claim_about([-value for value in values], Limit("<", -2), Limit(">", -1))
    assert judge(mirrored, {}, {})["verdict"] == verdict


def test_a_row_says_how_the_claim_was_judged() -> None:
    row = judge(claim_about([2.0, 4.0], Limit(">", 1.5), Limit("<", 1)), {}, {})
    assert row == {
        "id": "some-claim",
        "kind": "cause",
        "claim": "Something is so.",
        "test": "supported above 1.5, refuted below 1",
        "evidence": "an effect",
        "formula": "effect = all_values(t, some_values(t))",
        "effect": 3.0,
        "interval": [2.0, 4.0],
        "n": 2,
        "average": "arithmetic",
        "over": "initialisations",
        "verdict": "supported",
        "because": None,
    }


def test_the_average_is_the_one_that_the_claim_names() -> None:
    fresh = [("sigmoid", "attenuation", seed, 10.0**seed) for seed in (0, 2)]
    table = pd.DataFrame(fresh, columns=["variant", "statistic", "seed", "value"])
    for average, effect in (("geometric", 10.0), ("arithmetic", 50.5)):
        claim = Claim(
            id="a",
            kind="effect",
            statement="A.",
            quantity="an effect",
            effect=Effect(attenuation, "sigmoid"),
            over="initialisations",
            average=average,  # type: ignore[arg-type] # a str that the type lists
            supported=Limit(">", 1),
            refuted=Limit("<", 0),
        )
        row = judge(claim, {"initialisation": table}, SHIPPED)
        assert (row["effect"], row["average"]) == (pytest.approx(effect), average)


SKIP = Claim(
    id="skip",
    kind="remedy",
    statement="Skip connections help.",
    quantity="an effect",
    effect=Effect(attenuation, "sigmoid-skip") / Effect(attenuation, "sigmoid"),
    over="initialisations",
    supported=Limit(">", 1),
    refuted=Limit("<", 1),
)


def test_a_claim_about_a_variant_that_is_missing_cannot_be_judged() -> None:
    assert mismatch(SKIP, SHIPPED) is None
    others = {name: variant for name, variant in SHIPPED.items() if name != "sigmoid-skip"}
    assert mismatch(SKIP, others) == "params.yaml has no variant sigmoid-skip"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("skip", False, "params.yaml has sigmoid-skip with another skip than its name says"),
        ("epochs", 3, "params.yaml gives sigmoid-skip its own epochs"),
        ("depth", 7, "params.yaml gives sigmoid-skip and sigmoid different values of depth"),
        ("width", 7, "params.yaml gives sigmoid-skip and sigmoid different values of width"),
    ],
)
def test_a_variant_that_is_not_what_its_name_says_is_not_compared(
    key: str, value: object, reason: str
) -> None:
    changed = SHIPPED["sigmoid-skip"].model_copy(update={key: value})
    row = judge(SKIP, {}, SHIPPED | {"sigmoid-skip": changed})
    assert row["evidence"].startswith(reason)
    assert (row["verdict"], row["n"], row["interval"]) == ("inconclusive", 0, None)
    assert math.isnan(row["effect"])


def test_the_shipped_variants_are_what_their_names_say() -> None:
    for name, settings in EXPECTED_SETTINGS.items():
        assert {key: getattr(SHIPPED[name], key) for key in settings} == settings
