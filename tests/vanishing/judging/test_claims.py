"""Claims: the verdict follows from the interval, and only variants that fit are compared."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.study import ROOT
from vanishing.judging.article import CLAIMS, EXPECTED_SETTINGS
from vanishing.judging.claims import AFTER_RESULTS, Claim, judge, judge_all
from vanishing.judging.effects import Tables, attenuation
from vanishing.judging.formulas import Effect
from vanishing.judging.limits import Limit
from vanishing.judging.mismatches import mismatch
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.optimizers import Adam
from vanishing.params.study import AnyVariant, Built

SHIPPED = load(Params, ROOT / "params.yaml")


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


@pytest.mark.parametrize("after_results", [True, False])
def test_a_claim_says_where_its_limits_came_after_the_results(after_results: bool) -> None:
    claim = dataclasses.replace(
        claim_about([3.0], Limit(">", 2), Limit("<", 1)), after_results=after_results
    )
    row = judge(claim, {}, {}, SHIPPED)
    assert (AFTER_RESULTS in str(row["evidence"])) == after_results


@pytest.mark.parametrize(("values", "verdict"), VERDICTS)
def test_the_verdict_follows_from_the_whole_interval(values: list[float], verdict: str) -> None:
    row = judge(claim_about(values, Limit(">", 2), Limit("<", 1)), {}, {}, SHIPPED)
    assert row["verdict"] == verdict
    assert row["n"] == len(values)
    assert (row["interval"] is None) == (len(values) < 2)
    assert row["because"] == ("theory" if verdict == "refuted" else None)


@pytest.mark.parametrize(("values", "verdict"), VERDICTS)
def test_the_verdict_is_the_same_mirrored(values: list[float], verdict: str) -> None:
    mirrored = claim_about([-value for value in values], Limit("<", -2), Limit(">", -1))
    assert judge(mirrored, {}, {}, SHIPPED)["verdict"] == verdict


def test_a_row_says_how_the_claim_was_judged() -> None:
    row = judge(claim_about([2.0, 4.0], Limit(">", 1.5), Limit("<", 1)), {}, {}, SHIPPED)
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
        row = judge(claim, EXPECTED_SETTINGS, {"initialisation": table}, SHIPPED)
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


def with_variant(name: str, variant: AnyVariant | None) -> Params:
    """Return the shipped parameters with another variant of a name, or without it."""
    variants = SHIPPED.variants | ({} if variant is None else {name: variant})
    if variant is None:
        variants = {key: value for key, value in variants.items() if key != name}
    return SHIPPED.model_copy(update={"variants": variants})


def reason(study: Params, claim: Claim = SKIP) -> str | None:
    """Say why a claim cannot be judged."""
    return mismatch(claim.effect, EXPECTED_SETTINGS, study)


def test_a_claim_about_a_variant_that_is_missing_cannot_be_judged() -> None:
    assert reason(SHIPPED) is None
    without = with_variant("sigmoid-skip", None)
    assert reason(without) == "params.yaml has no variant sigmoid-skip"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"skip": False}, "params.yaml has sigmoid-skip with another skip than its name says"),
        ({"depth": 7}, "params.yaml gives sigmoid-skip and sigmoid different values of depth"),
        ({"width": 7}, "params.yaml gives sigmoid-skip and sigmoid different values of width"),
        ({"epochs": 3}, "params.yaml gives sigmoid-skip its own epochs"),
        (
            {"optimizer": Adam(name="adam", learning_rate=0.1)},
            "params.yaml gives sigmoid-skip its own optimizer",
        ),
    ],
)
def test_a_variant_that_is_not_what_its_name_says_is_not_compared(
    changed: dict[str, object], expected: str
) -> None:
    study = with_variant(
        "sigmoid-skip", SHIPPED.variants["sigmoid-skip"].model_copy(update=changed)
    )
    row = judge(SKIP, EXPECTED_SETTINGS, {}, study)
    assert str(row["evidence"]).startswith(expected)
    assert (row["verdict"], row["n"], row["interval"]) == ("inconclusive", 0, None)
    assert math.isnan(row["effect"])


def test_a_network_of_a_function_is_not_the_one_that_a_name_promises() -> None:
    study = with_variant("sigmoid-skip", Built(network="mine:build", compare_to="sigmoid"))
    assert reason(study) == "params.yaml has sigmoid-skip as a network that a function returns"
    expected = {"sigmoid": {}, "sigmoid-skip": {"network": "mine:build", "arguments.depth": 5}}
    assert mismatch(SKIP.effect, expected, study) == (
        "params.yaml has sigmoid-skip with another arguments.depth than its name says"
    )


def test_a_claim_over_all_variants_needs_all_to_be_trained_alike() -> None:
    over_all = next(claim for claim in CLAIMS if claim.id == "vanishing-slows")
    assert reason(SHIPPED, over_all) is None
    tanh = SHIPPED.variants["tanh"].model_copy(update={"batch_size": 7})
    expected = "params.yaml gives tanh its own batch_size"
    assert reason(with_variant("tanh", tanh), over_all) == expected
    assert reason(with_variant("tanh", tanh)) is None  # is about others


def test_expected_training_is_that_which_a_variant_ends_up_with() -> None:
    expected = EXPECTED_SETTINGS | {
        "sigmoid-skip": EXPECTED_SETTINGS["sigmoid-skip"] | {"epochs": 3, "optimizer.momentum": 0.9}
    }
    three = SHIPPED.variants["sigmoid-skip"].model_copy(update={"epochs": 3})
    assert mismatch(SKIP.effect, expected, with_variant("sigmoid-skip", three)) is None
    assert mismatch(SKIP.effect, expected, SHIPPED) == (
        "params.yaml has sigmoid-skip with another epochs than its name says"
    )


def about_runs(values: list[float], **changes: Any) -> Claim:
    """Return a claim about trained networks whose effects are the given ones."""
    claim = claim_about(values, Limit(">", 0), Limit("<", -1))
    return dataclasses.replace(claim, over="seeds", **changes)


SEEDS = [0.4, 0.1, 0.6, 0.2, 0.3]  # mean 0.32, s 0.19, t of 3.7 with 4 degrees of freedom


def test_over_several_seeds_the_interval_is_that_of_students_t() -> None:
    (row,) = judge_all([about_runs(SEEDS)], {}, {}, SHIPPED)
    values = np.array(SEEDS)
    error = values.std(ddof=1) / math.sqrt(5)
    assert row["interval"] == pytest.approx(
        [0.32 - 2.7764 * error, 0.32 + 2.7764 * error], abs=1e-4
    )
    assert row["p"] == pytest.approx(row["p_holm"])
    assert 0.01 < row["p"] < 0.05
    assert row["detectable"] == pytest.approx((2.7764 + 0.9410) * error, abs=1e-4)
    assert row["verdict"] == "supported"


def test_a_factor_is_tested_on_its_logarithm() -> None:
    factors = [math.exp(value) for value in SEEDS]
    claim = about_runs(factors, average="geometric", supported=Limit(">", 1))
    (plain,) = judge_all([about_runs(SEEDS)], {}, {}, SHIPPED)
    (row,) = judge_all(
        [dataclasses.replace(claim, refuted=Limit("<", math.exp(-1)))], {}, {}, SHIPPED
    )
    assert row["p"] == pytest.approx(plain["p"])
    assert row["interval"] == pytest.approx(np.exp(plain["interval"]).tolist())
    assert row["detectable"] == pytest.approx(math.exp(plain["detectable"]))


def test_verdicts_about_trained_networks_are_corrected_for_their_number() -> None:
    fresh = claim_about(SEEDS, Limit(">", 0), Limit("<", -1))
    claims = [about_runs(SEEDS), about_runs([1.0, -1.0, 2.0, -2.0, 0.1]), fresh]
    rows = judge_all(claims, {}, {}, SHIPPED)
    assert [row["verdict"] for row in rows] == ["supported", "inconclusive", "supported"]
    rows = judge_all([*claims, *[claims[1]] * 8], {}, {}, SHIPPED)
    assert [row["verdict"] for row in rows[:3]] == ["inconclusive", "inconclusive", "supported"]
    assert rows[0]["p_holm"] == pytest.approx(10 * rows[0]["p"])
    assert "p" not in rows[2]  # is about initialisations


def test_a_claim_is_refuted_beyond_the_other_limit_and_a_lost_run_is_inconclusive() -> None:
    values = [-1.4, -1.5, -1.6, -1.5, -1.45]
    (refuted,) = judge_all([about_runs(values)], {}, {}, SHIPPED)
    assert (refuted["verdict"], refuted["because"]) == ("refuted", "theory")
    (lost,) = judge_all([about_runs([*values, math.nan])], {}, {}, SHIPPED)
    assert lost["verdict"] == "inconclusive"
    assert math.isnan(lost["p_holm"])


def test_with_one_seed_the_effect_alone_decides() -> None:
    (row,) = judge_all([about_runs([0.01])], {}, {}, SHIPPED)
    assert (row["verdict"], row["interval"]) == ("supported", None)
    assert row.keys().isdisjoint({"p", "p_holm", "detectable"})


def test_the_shipped_variants_are_what_their_names_say() -> None:
    for name, settings in EXPECTED_SETTINGS.items():
        assert {key: getattr(SHIPPED.variants[name], key) for key in settings} == settings
