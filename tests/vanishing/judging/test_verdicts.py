"""What rows of health.json amount to."""

from typing import Any

import pytest

from vanishing.judging import verdicts


def row(rule: str, verdict: str, **changes: Any) -> dict[str, Any]:
    """Return a row of health.json."""
    return {
        "variant": "v",
        "rule": rule,
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
    "nonfinite_loss": "fine",
    "at_chance": "fine",
}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "steady, learned"),
        ({"vanishing_attenuation": "problem"}, "vanishing, learned"),
        ({"exploding_attenuation": "problem", "at_chance": "problem"}, "exploding, at chance"),
        ({"nonfinite_loss": "problem", "at_chance": "problem"}, "steady, diverged"),
        (
            {"vanishing_attenuation": "undefined", "exploding_attenuation": "undefined"},
            "not finite, learned",
        ),
    ],
)
def test_verdict_in_words(found: dict[str, str], words: str) -> None:
    rows = [row(rule, verdict) for rule, verdict in (ALL_FINE | found).items()]
    assert verdicts.in_words(rows) == words


def test_the_gravest_check_decides_for_its_rule() -> None:
    rows = [row("a", "fine"), row("a", "problem"), row("a", "undefined"), row("b", "fine")]
    assert verdicts.verdict(rows, "a") == "problem"
    assert verdicts.verdict(rows, "b") == "fine"


def test_an_expectation_that_does_not_hold_is_told_with_its_evidence() -> None:
    rows = [row("vanishing_gradient", "problem"), row("overfit", "fine")]
    assert verdicts.unmet(rows, {"v": {"vanishing_gradient": True, "overfit": False}}) == []
    lines = verdicts.unmet(rows, {"v": {"vanishing_gradient": False, "overfit": True}})
    assert lines == [
        "v: vanishing_gradient: expected none, found problem; mean |dL/dW|: 1.23e-09"
        " (layer first, epoch 2), a problem below 1e-07",
        "v: overfit: expected a problem, found fine; mean |dL/dW|: 1.23e-09"
        " (layer first, epoch 2), a problem below 1e-07",
    ]


def test_what_cannot_be_told_does_not_meet_an_expected_problem() -> None:
    rows = [row("a", "not applicable"), row("b", "undefined", measured=None)]
    lines = verdicts.unmet(rows, {"v": {"a": True, "b": True}})
    assert "the rule does not apply to this network" in lines[0]
    assert "NaN or infinite" in lines[1]
