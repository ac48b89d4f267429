"""Checks: the worst candidate, its location, and its verdict."""

import math

import pandas as pd
import pytest

from vanishing.judging.checks import Check, judge, judge_rule
from vanishing.judging.kinds import NOTE
from vanishing.judging.limits import Limit

CANDIDATES = pd.DataFrame(
    {
        "seed": [0, 0, 1],
        "layer": ["first", "second", "first"],
        "tensor": ["weight", "activation", "weight"],
        "epoch": [0, 1, 2],
        "value": [0.5, 0.1, 0.9],
    }
)


def test_the_worst_candidate_is_reported_with_its_location() -> None:
    assert judge(Check("a share", CANDIDATES, Limit("<", 0.2))) == {
        "quantity": "a share",
        "layer": "second",
        "seed": 0,
        "epoch": 1,
        "step": None,
        "measured": 0.1,
        "relation": "below",
        "threshold": 0.2,
        "verdict": "problem",
    }
    largest = judge(Check("a share", CANDIDATES, Limit(">", 1.0)))
    assert (largest["seed"], largest["measured"], largest["verdict"]) == (1, 0.9, "fine")


def test_a_check_of_several_tensors_names_the_worst_one() -> None:
    row = judge(Check("share of zeros", CANDIDATES, Limit("<", 0.2), name_tensor=True))
    assert row["quantity"] == "share of zeros of activation"


def test_nan_is_left_out_beside_numbers() -> None:
    candidates = CANDIDATES.assign(value=[math.nan, 0.3, 0.4])
    row = judge(Check("a share", candidates, Limit("<", 0.2)))
    assert (row["measured"], row["verdict"]) == (0.3, "fine")


@pytest.mark.parametrize("candidates", [CANDIDATES.assign(value=math.nan), CANDIDATES[:0]])
def test_without_a_number_the_verdict_is_undefined_and_there_is_no_location(
    candidates: pd.DataFrame,
) -> None:
    row = judge(Check("a share", candidates, Limit("<", 0.2), name_tensor=True))
    assert (row["verdict"], row["quantity"]) == ("undefined", "a share")
    assert math.isnan(row["measured"])
    assert {row[key] for key in ("layer", "seed", "epoch", "step")} == {None}


def test_a_rule_without_a_check_has_the_same_keys() -> None:
    (judged,) = judge_rule("all_zero", [Check("a share", CANDIDATES, Limit("<", 0.2))])
    (silent,) = judge_rule("all_zero", [])
    assert list(silent) == list(judged)
    assert silent["verdict"] == "not applicable"


def test_a_problem_is_of_the_kind_of_its_rule_unless_its_check_says_otherwise() -> None:
    usual = Check("a share", CANDIDATES, Limit("<", 0.2))
    rows = judge_rule("all_zero", [usual, usual._replace(kind=NOTE)])
    assert [(row["rule"], row["kind"]) for row in rows] == [
        ("all_zero", "warning"),
        ("all_zero", "note"),
    ]
