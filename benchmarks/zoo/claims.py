"""Claims about what measurements tell of a training's future, judged on cases that none chose.

A measurement tells by its area under the ROC curve (AUC): the chance that it looks worse in a
training that will not learn than in one that learns; 0.5 is a coin's. Each claim is a range of an
AUC, or of the difference of two. It is **supported** if the whole 95 % interval lies in the range,
**refuted** if none of it does, else **inconclusive**. Intervals are percentiles of 2,000 bootstrap
samples of cases, each with all its seeds, since seeds of one case are much alike.

The claims and this rule were written after the first scores (docs/decisions/0024) had shown the
areas of single measurements, without their intervals; the differences had not been computed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.measuring import Row
from benchmarks.zoo.rates import danger, decided
from vanishing.params.answers import WILL_NOT_LEARN

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 2_000
_SEED = 0
_PERCENT = (2.5, 97.5)


class Claim(NamedTuple):
    """A range in which an area lies, or the difference of two.

    Attributes:
        statement: In a sentence.
        measurement: Column whose area is meant: the smaller, the more a training looks sick.
        minus: Column whose area is subtracted; None to subtract nothing.
        low: Of the range.
        high: Likewise.
    """

    statement: str
    measurement: str
    minus: str | None
    low: float
    high: float


CLAIMS = (
    Claim(
        "The mean |dL/dW| at initialisation tells nothing of what becomes of a training.",
        "mean |dL/dW| at initialisation",
        None,
        0.4,
        0.6,
    ),
    Claim(
        "The attenuation at initialisation tells little.",
        "attenuation at initialisation",
        None,
        0.5,
        0.7,
    ),
    Claim(
        "The attenuation tells more than the mean |dL/dW|.",
        "attenuation at initialisation",
        "mean |dL/dW| at initialisation",
        0.0,
        1.0,
    ),
    Claim(
        "After a tenth of the steps the learning curve tells most of it.",
        "rise of the accuracy",
        None,
        0.9,
        1.0,
    ),
    Claim(
        "The outputs' dependence on the input, which needs no labels, tells as much.",
        "dependence",
        "rise of the accuracy",
        -0.05,
        0.05,
    ),
    Claim(
        "The update ratio tells less than the learning curve.",
        "update ratio",
        "rise of the accuracy",
        -1.0,
        0.0,
    ),
)


def judge(frame: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS) -> list[Row]:
    """Judge claims.

    Args:
        frame: A row per training: columns name, truth, and the measurements.
        claims: Which ones.

    Returns:
        A row per claim: its statement, what was measured with its interval, the range, a verdict.
    """
    return [_judge(frame, claim) for claim in claims]


def _judge(frame: pd.DataFrame, claim: Claim) -> Row:
    judged = decided(frame)
    measure = _difference(judged, claim)
    count = judged["name"].nunique()
    value = measure(np.ones(count))
    rng = np.random.default_rng(_SEED)
    samples = [
        measure(np.bincount(rng.integers(count, size=count), minlength=count).astype(float))
        for _ in range(_SAMPLES)
    ]
    low, high = np.nanpercentile(samples, _PERCENT)
    minus = f" minus that of {claim.minus}" if claim.minus else ""
    return {
        "claim": claim.statement,
        "measured": f"area of {claim.measurement}{minus}: {value:.2f} [{low:.2f}, {high:.2f}]",
        "claimed": f"{claim.low:g} to {claim.high:g}",
        "verdict": _verdict(claim, low, high),
    }


def _verdict(claim: Claim, low: float, high: float) -> str:
    if claim.low <= low and high <= claim.high:
        return "supported"
    return "refuted" if high < claim.low or low > claim.high else "inconclusive"


def _difference(frame: pd.DataFrame, claim: Claim) -> Callable[["NDArray[np.float64]"], float]:
    """Return the claim's quantity as a function of how often each case counts, by its name."""
    columns = [claim.measurement, *([claim.minus] if claim.minus else [])]
    areas = [_area(frame, column) for column in columns]

    def measure(counts: "NDArray[np.float64]") -> float:
        values = [area(counts) for area in areas]
        return values[0] - values[1] if len(values) > 1 else values[0]

    return measure


def _area(frame: pd.DataFrame, column: str) -> Callable[["NDArray[np.float64]"], float]:
    """Return the area under the ROC curve as a function of how often each case counts."""
    ranks = danger(frame[column])
    cases, _ = pd.factorize(frame["name"], sort=True)
    fails = (frame["truth"] == WILL_NOT_LEARN).to_numpy()

    def area(counts: "NDArray[np.float64]") -> float:
        weights = counts[cases]
        if not (weights[fails].any() and weights[~fails].any()):
            return float("nan")
        return float(roc_auc_score(fails, ranks, sample_weight=weights))

    return area
