"""How far a training has come, and whether it moves: the numbers behind its verdict.

The outputs of a network that will learn begin to depend on the input long before the loss falls: in
a deep network whose weights are small, their dependence (`stats.answers.dependence`) grows from
10⁻⁸ to 1 by a constant factor per step, and only then the loss. So where the loss is flat, that
growth, continued, tells a late starter from a network that will never start.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vanishing.judging.learning.moment import Moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

HORIZON = 10  # times the steps until now: as far ahead as growth is continued
_FIRST_LOSSES = 3
_FIRST_TRACED = 5  # of which the accuracy is that of the start
_PARTS = 5  # the last fifth of the losses is now; growth is that since the first fifth of the steps
_RECENT = 0.6  # traced steps after this share of all count for the accuracy of now
_SUMMED = 4.0  # a scale above this is that of a loss that is summed over the batch


class Progress(NamedTuple):
    """What a training shows at a step; NaN where something is not known, or a loss is negative.

    Attributes:
        loss_share: The loss of now over that of a constant answer: ln(classes) of a cross-entropy,
            times the scale of a summed one; else the mean of the first losses.
        excess: loss_share - 1 of a cross-entropy, whose constant answer is known.
        loss_fall: 1 - loss of now / the mean of the first losses, or a constant answer's if that is
            less: outputs that shrink from a large start to 0 have learned nothing. Of a loss
            that is still above a constant answer's, the fall since two fifths of the steps before,
            if that is less.
        gain: Accuracy of now minus that of the start, on batches of the training.
        dependence: Of the outputs on the example, now.
        grown: Decades by which it has grown since the first step, and since a fifth of the steps:
            the smaller number.
        expected: The dependence at HORIZON times the steps, at most 1, if it goes on to grow so.
    """

    loss_share: float
    excess: float
    loss_fall: float
    gain: float
    dependence: float
    grown: float
    expected: float


def measure(moment: Moment) -> Progress:
    """Measure how far a training has come."""
    first, now = _mean(moment.losses[:_FIRST_LOSSES]), loss_of_now(moment)
    constant = _constant_answer(moment)
    reference = constant
    if constant and now > constant:
        count = _count_of_now(moment)
        reference = _mean(moment.losses[-3 * count : -2 * count])
    dependence, grown, expected = _dependence(moment)
    return Progress(
        loss_share=_over(now, constant or first),
        excess=_over(now, constant) - 1 if constant else math.nan,
        loss_fall=1 - _over(now, min(first, reference or first)),
        gain=_gain(moment),
        dependence=dependence,
        grown=grown,
        expected=expected,
    )


def _over(loss: float, reference: float) -> float:
    """Return a loss as a share of another; NaN where one is negative, which makes it no share."""
    return loss / reference if loss >= 0 and reference > 0 else math.nan


def loss_of_now(moment: Moment) -> float:
    """Return the mean of the last fifth of the losses, or of the last epoch, if that is less.

    Of a training of many epochs a fifth is so long that one that begins to learn late would be
    taken for one that never does. The mean is NaN or infinite where one of the losses is.
    """
    return _mean(moment.losses[-_count_of_now(moment) :])


def _count_of_now(moment: Moment) -> int:
    count = max(1, len(moment.losses) // _PARTS)
    return min(count, moment.run.epoch_steps or count)


def _constant_answer(moment: Moment) -> float | None:
    """Return the cross-entropy of an answer that is the same for all; None of another loss."""
    if not moment.is_softmax or moment.classes is None:
        return None
    return math.log(moment.classes) * (moment.scale if moment.scale > _SUMMED else 1.0)


def _gain(moment: Moment) -> float:
    if not moment.is_softmax:
        return math.nan
    accuracy = moment.of_network("output", "accuracy").dropna()
    recent = accuracy[accuracy.index > _RECENT * moment.step]
    return _mean(recent.to_numpy()) - _mean(accuracy[:_FIRST_TRACED].to_numpy())


def _dependence(moment: Moment) -> tuple[float, float, float]:
    """Return the dependence of now, by how much it has grown, and the expected one."""
    values = moment.of_network("output", "dependence").dropna()
    before = values[values.index <= max(1, moment.step / _PARTS)]
    if before.empty:
        return math.nan, math.nan, math.nan
    # The larger of two, since one batch is noise: outputs that waver do not grow.
    now, earlier = float(values.iloc[-1]), float(max(before.iloc[0], before.iloc[-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = float(np.log10(now) - np.log10(earlier))
        steps = values.index[-1] - before.index[-1]
        per_step = grown / steps if steps else 0.0
        ahead = float(np.log10(now)) + per_step * (HORIZON - 1) * moment.step
    return now, grown, 10 ** min(0.0, ahead)


def _mean(values: "NDArray[np.floating[Any]]") -> float:
    return float(np.mean(values)) if len(values) else math.nan
