"""Verdicts: the rows of health.json, summed up."""

from typing import Any

import pytest

from vanishing.judging import verdicts


def row(rule: str, verdict: str, **changes: Any) -> dict[str, Any]:
    """Return a row of health.json."""
    return {
        "variant": "v",
        "rule": rule,
        "kind": "warning",
        "quantity": "mean |dL/dW|",
        "seed": 0,
        "layer": "first",
        "epoch": 2,
        "step": None,
        "measured": 1.23456e-9,
        "relation": "below",
        "threshold": 1e-7,
        "verdict": verdict,
    } | changes


ALL_FINE = {
    "vanishing_attenuation": "fine",
    "exploding_attenuation": "fine",
    "learning": "learns",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "steady, learns"),
        ({"vanishing_attenuation": "problem"}, "vanishing, learns"),
        (
            {"exploding_attenuation": "problem", "learning": "will not learn"},
            "exploding, will not learn",
        ),
        ({"learning": "too early to say"}, "steady, too early to say"),
        (
            {"vanishing_attenuation": "not applicable", "learning": "learns"},
            "not recorded, learns",
        ),
        (
            {"vanishing_attenuation": "undefined", "exploding_attenuation": "undefined"},
            "not finite, learns",
        ),
    ],
)
def test_a_variant_is_summed_up_in_two_verdicts(changes: dict[str, str], words: str) -> None:
    rows = [row(rule, verdict) for rule, verdict in (ALL_FINE | changes).items()]
    assert verdicts.summarise(rows) == words


def test_the_gravest_check_decides_for_its_rule() -> None:
    rows = [row("a", "fine"), row("a", "undefined"), row("b", "not applicable")]
    assert verdicts.verdict(rows, "a") == "undefined"
    assert verdicts.verdict([*rows, row("a", "problem")], "a") == "problem"
    assert verdicts.verdict(rows, "b") == "not applicable"


def test_a_problem_is_marked_by_the_gravest_kind_of_its_checks() -> None:
    rows = [row("a", "fine", kind="fails"), row("a", "problem", kind="note")]
    assert verdicts.mark(rows, "a") == "note"
    assert verdicts.mark([*rows, row("a", "problem", kind="warning")], "a") == "warning"
    assert verdicts.mark(rows[:1], "a") == "fine"
    assert verdicts.mark([row("learning", "too early to say")], "learning") == "too early to say"


def test_an_expected_answer_is_held_against_the_verdict_on_learning() -> None:
    rows = [row("learning", "will not learn", reason="The loss is 100% of that.")]
    assert verdicts.unmet_expectations(rows, {"v": {"learning": "will not learn"}}) == []
    assert verdicts.unmet_expectations(rows, {"v": {"learning": "learns"}}) == [
        "v: learning: expected learns, found will not learn; The loss is 100% of that."
    ]


def test_an_unmet_expectation_is_reported_with_its_evidence() -> None:
    rows = [row("vanishing_gradient", "problem"), row("overfit", "fine")]
    met = {"v": {"vanishing_gradient": True, "overfit": False}}
    assert verdicts.unmet_expectations(rows, met) == []
    unmet = {"v": {"vanishing_gradient": False, "overfit": True}}
    assert verdicts.unmet_expectations(rows, unmet) == [
        "v: vanishing_gradient: expected none, found problem; mean |dL/dW|: 1.23e-09"
        " (layer first, epoch 2), a problem below 1e-07",
        "v: overfit: expected a problem, found fine; mean |dL/dW|: 1.23e-09"
        " (layer first, epoch 2), a problem below 1e-07",
    ]


def test_only_the_rows_of_the_variant_decide_about_its_expectation() -> None:
    rows = [row("overfit", "problem", variant="other"), row("overfit", "fine")]
    assert verdicts.unmet_expectations(rows, {"v": {"overfit": False}}) == []


def test_a_rule_that_gives_no_answer_does_not_meet_an_expected_problem() -> None:
    rows = [row("a", "not applicable"), row("b", "undefined", measured=None)]
    lines = verdicts.unmet_expectations(rows, {"v": {"a": True, "b": True}})
    assert "the rule does not apply to this network" in lines[0]
    assert "NaN or infinite" in lines[1]
