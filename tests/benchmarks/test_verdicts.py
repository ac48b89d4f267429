"""The score of verdicts: rates of trainings, thresholds from the development half, and causes."""

import math
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import verdicts
from benchmarks.zoo import outcomes
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.detectors import FAILING, OF_DEBUGGER, examine_run
from benchmarks.zoo.outcomes import Run
from benchmarks.zoo.rates import flips, rate
from vanishing.params.answers import WILL_NOT_LEARN


def frame(**columns: list[object]) -> pd.DataFrame:
    """Return trainings of four cases with two seeds each: two fail, two learn, one of them late."""
    names = ["dead", "lost", "fine", "late"]
    content = {
        "name": [name for name in names for _ in range(2)],
        "half": ["development"] * 8,
        "truth": [WILL_NOT_LEARN] * 4 + ["learns"] * 4,
        "late": [False] * 6 + [True] * 2,
        "cause": ["depth"] * 2 + ["labels"] * 2 + [None] * 4,
        "layer": ["block1"] * 2 + [None] * 6,
    }
    return pd.DataFrame(content | columns)


def test_a_rate_is_the_mean_over_cases_with_an_interval_for_as_many_trials() -> None:
    rates = rate(frame(alarm=[True, True, True, False, False, False, False, True]))
    assert rates.value == 0.5
    assert rates.cases == 4
    assert (rates.low, rates.high) == pytest.approx((0.15, 0.85), abs=0.01)  # Wilson, 2 of 4
    assert str(rates).startswith("0.50 [0.15, 0.85] of 4")


def test_the_rate_of_no_case_is_no_number() -> None:
    assert math.isnan(rate(frame(alarm=[True] * 8)[:0]).value)


def test_flips_are_trainings_that_differ_from_most_of_their_case() -> None:
    answers = frame(answer=["a", "a", "a", "a", "b", "b", "a", "b"])
    assert flips(answers) == 1 / 8


def test_a_score_counts_each_kind_apart() -> None:
    trainings = frame()
    alarm = pd.Series([True, True, False, True, False, False, True, True])
    score = verdicts.score(trainings, alarm)
    assert score.recall.value == 0.75
    assert score.false_alarms.value == 0.5
    assert score.late.value == 1
    assert (score.knowable.value, score.knowable.cases) == (1, 1)


def test_the_best_threshold_parts_those_that_learn_from_those_that_do_not() -> None:
    trainings = frame(fall=[0.0, 0.1, 0.1, math.nan, 0.5, 0.6, 0.2, 0.7])
    assert verdicts.best_threshold(trainings, "fall") == 0.2


def test_vanishing_is_right_of_depth_and_a_layer_within_the_faulty_one_too() -> None:
    trainings = frame(
        early_answer=[WILL_NOT_LEARN] * 8,
        early_cause=["vanishing", "loss", "labels", "labels", None, None, None, None],
        early_layer=["block1.inner", "block10", None, None, None, None, None, None],
    )
    row = verdicts._causes(trainings, "early")
    assert row["right cause"].startswith("0.75 ")
    assert row["right layer, where the fault is in one"].startswith("0.50 ")


def test_misjudged_cases_are_listed_with_their_seeds() -> None:
    early_answers: list[object] = [*[WILL_NOT_LEARN] * 3, *["learns"] * 4, WILL_NOT_LEARN]
    right: list[object] = [*[WILL_NOT_LEARN] * 4, *["learns"] * 4]
    trainings = frame(early_answer=early_answers, end_answer=right)
    early, end = verdicts._NAMES["early"], verdicts._NAMES["end"]
    rows = [(row["name"], row[early], row[end]) for row in verdicts.misjudged(trainings)]
    assert rows == [("lost", "1 of 2", "0 of 2"), ("late", "1 of 2", "0 of 2")]


def test_a_traced_training_gets_answers_rules_and_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = next(case for case in CASES if case.name == "digits-mlp-relu-1-adam")
    run = Run(case, 0, traced=True)
    outcomes.make(run)
    row = examine_run(run)
    assert (row["early_answer"], row["end_answer"], row["end_cause"]) == ("learns", "learns", None)
    assert row["rule: nonfinite_loss"] is False
    assert (row[FAILING], row[OF_DEBUGGER]) == (False, False)
    assert row["rise of the accuracy"] > 0.3
    assert 0 < row["dependence at initialisation"] < row["dependence"] < 1
