"""Rates of detectors on the zoo: how many trainings that will not learn they find, how many others.

A rate is of single trainings, since a user has one: the mean over a case's seeds, and over cases.
Its interval is Wilson's for as many trials as there are cases: seeds of one case are much alike.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from vanishing.params.answers import LEARNS, WILL_NOT_LEARN

if TYPE_CHECKING:
    from numpy.typing import NDArray


def decided(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose truth counts: of what learns, and of what will not."""
    kept: pd.DataFrame = rows[rows["truth"].isin([LEARNS, WILL_NOT_LEARN])]
    return kept


def danger(values: "pd.Series[float]") -> "NDArray[np.float64]":
    """Return ranks of measurements, since these may be infinite: 1 is the largest, the best sign.

    What is no number has the last rank.
    """
    ranks: NDArray[np.float64] = np.asarray((-values).rank(na_option="bottom"), dtype=np.float64)
    return ranks


class Rate(NamedTuple):
    """A share of trainings with its 95 % interval.

    Attributes:
        value: The share; NaN of no case.
        low: Of the interval.
        high: Likewise.
        cases: How many there are.
    """

    value: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] of {self.cases}"


def rate(alarms: pd.DataFrame) -> Rate:
    """Return the share of trainings with an alarm.

    Args:
        alarms: Columns name (of the case) and alarm (bool), a row per training.

    Returns:
        The rate. Wilson's interval needs whole numbers: the sum of the cases' shares is rounded.
    """
    shares = alarms.groupby("name")["alarm"].mean()
    if shares.empty:
        return Rate(float("nan"), 0.0, 1.0, 0)
    low, high = wilson(round(shares.sum()), len(shares))
    return Rate(float(shares.mean()), low, high, len(shares))


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, after Wilson."""
    interval = binomtest(successes, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def flips(answers: pd.DataFrame) -> float:
    """Return the share of trainings whose answer is not the most frequent one of their case.

    Args:
        answers: Columns name and answer, a row per training.

    Returns:
        The share.
    """
    most_frequent = answers.groupby("name")["answer"].transform(lambda group: group.mode().iloc[0])
    return float((answers["answer"] != most_frequent).mean())
