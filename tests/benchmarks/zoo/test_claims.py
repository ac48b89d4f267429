"""Claims about measurements: areas are those of the ROC curve, and intervals decide."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.zoo.claims import Claim, judge
from vanishing.params.answers import WILL_NOT_LEARN


def trainings(sick: list[float], well: list[float]) -> pd.DataFrame:
    """Return a case of two seeds for each pair of values, and one between that counts nowhere."""
    values = [*sick, *well, 0.0]
    truths = [WILL_NOT_LEARN] * len(sick) + ["learns"] * len(well) + ["between"]
    names = [f"case-{index // 2}" for index in range(len(values))]
    return pd.DataFrame({"name": names, "truth": truths, "value": values, "other": values[::-1]})


def claim(low: float, high: float, minus: str | None = None) -> tuple[Claim]:
    """Return a claim about the column `value`."""
    return (Claim("It tells.", "value", minus, low, high),)


RNG = np.random.default_rng(1)
SICK, WELL = RNG.normal(0, 1, 40).round(1).tolist(), RNG.normal(1, 1, 60).round(1).tolist()


def test_an_area_is_that_of_the_roc_curve() -> None:
    frame = trainings(SICK, WELL)
    area = roc_auc_score([1] * 40 + [0] * 60, [-value for value in SICK + WELL])
    assert f": {area:.2f} [" in judge(frame, claim(0, 1))[0]["measured"]


def test_a_value_that_is_no_number_is_a_sign_of_sickness() -> None:
    frame = trainings([math.nan, math.nan], [1.0, 2.0])
    assert judge(frame, claim(0.9, 1))[0]["measured"].startswith("area of value: 1.00")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.6, 1.0, "supported"), (0.0, 0.5, "refuted"), (0.75, 1.0, "inconclusive")],
)
def test_the_interval_decides(low: float, high: float, verdict: str) -> None:
    assert judge(trainings(SICK, WELL), claim(low, high))[0]["verdict"] == verdict


def test_the_difference_of_a_measurement_and_itself_is_nothing() -> None:
    frame = trainings(SICK, WELL).assign(other=lambda rows: rows["value"])
    row = judge(frame, claim(-0.01, 0.01, "other"))[0]
    assert row["measured"].endswith("0.00 [0.00, 0.00]")
    assert row["verdict"] == "supported"
