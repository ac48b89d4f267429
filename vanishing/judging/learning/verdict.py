"""Will a watched training learn? One of three answers, with the number that decides.

The thresholds were chosen on the development half of `benchmarks/zoo`, at 50 of 500 steps and at
the end (docs/decisions/0024); docs/verdicts.md says how often the answers are wrong.
"""

import math
from pathlib import Path
from typing import NamedTuple

from vanishing.errors import StudyError
from vanishing.judging.learning.causes import Cause, find_cause, find_decisive, find_undoing
from vanishing.judging.learning.moment import Moment
from vanishing.judging.learning.progress import HORIZON, Progress, loss_of_now, measure
from vanishing.judging.limits import Limit
from vanishing.judging.runs import Run, load_run
from vanishing.params.answers import LEARNS, TOO_EARLY, WILL_NOT_LEARN, Answer

EARLIEST = 50  # steps, before which only what decides by itself is said
_LEARNED_SHARE = Limit("<", 0.9)  # of a constant answer's loss: the loss has begun to fall
_LEARNED_GAIN = Limit(">", 0.2)  # of accuracy
_STARTS = Limit(">=", 0.1)  # the dependence that is expected
_GROWN = Limit(">", 0.3)  # decades of dependence
_RISEN = Limit(">", 0.05)  # above a constant answer's loss: outputs differ, and are wrong
_FALLEN = Limit(">", 0.05)  # of the first losses, or of a constant answer's
_UNDOABLE_SHARE = Limit(">=", 0.3)  # below, so much has been learned that no setting undoes it
_ANSWERS = Limit(">", 0.05)  # dependence at which outputs differ from example to example
_FAILED_SHARE = Limit(">", 0.8)  # at the end
_DONE_SHARE = Limit("<", 0.6)  # at the end


class WillNotLearnError(RuntimeError):
    """A watch with `alarm="stop"` has ended a training that will not learn."""


class Verdict(NamedTuple):
    """What is said of a training.

    Attributes:
        answer: One of three.
        step: After which it was said.
        reason: The number that decides, in a sentence.
        cause: Why it will not learn; None with another answer.
        loss_share: The loss of now over that of a constant answer; NaN where it is not known.
        limit: Beyond which a training that is over has failed; None where that does not decide.
    """

    answer: Answer
    step: int
    reason: str
    cause: Cause | None = None
    loss_share: float = math.nan
    limit: Limit | None = None

    @property
    def layer(self) -> str | None:
        """Where the cause is; None where it is in no layer, or in all."""
        return self.cause.layer if self.cause else None

    def __str__(self) -> str:
        """Say it in a line: the answer, the reason, and the cause with its numbers."""
        line = f"{self.answer} (after {_steps(self.step)}). {self.reason}"
        if self.cause is None:
            return line
        place = f" in {self.layer}" if self.layer else ""
        numbers = f"{self.cause.quantity}{place}: {self.cause.measured:.3g}, {self.cause.limit}"
        sentence = "" if self.cause.sentence == self.reason else f" {self.cause.sentence}"
        return f"{line}{sentence} ({numbers})"


def judge_learning(watched: Run | Path | str, step: int | None = None) -> Verdict:
    """Say whether a training will learn.

    Args:
        watched: The folder of a watched training, or what was read from it. Its losses are needed
            (`watch.loss`).
        step: The last one to be looked at, to foresee what comes after it; None to look at all of
            them, and to conclude what has become of it.

    Returns:
        The verdict. "Too early to say" where losses are not recorded.

    Raises:
        StudyError: If the step is below 1, the folder holds no run, or a file is damaged.
    """
    if step is not None and step < 1:
        raise StudyError(f"judge_learning: step: should be at least 1; given {step}")
    run = watched if isinstance(watched, Run) else load_run(Path(watched))
    moment = Moment(run, step)
    decisive = find_decisive(moment)
    if decisive is not None:
        return Verdict(WILL_NOT_LEARN, moment.step, decisive.sentence, decisive)
    if run.tables["losses"].empty:
        return Verdict(TOO_EARLY, moment.step, "No losses are recorded: call watch.loss(loss).")
    if len(moment.losses) and not math.isfinite(loss_of_now(moment)):
        reason = "The loss is not finite."
        return Verdict(WILL_NOT_LEARN, moment.step, reason, find_cause(moment))
    if moment.step < EARLIEST:
        reason = f"That is too few: {EARLIEST} at least."
        return Verdict(TOO_EARLY, moment.step, reason)
    progress = measure(moment)
    # What a constant answer loses is known of a cross-entropy alone.
    is_over = step is None and moment.is_softmax
    is_undoable = not is_over and _UNDOABLE_SHARE.holds(progress.loss_share)
    undoing = find_undoing(moment) if is_undoable else None
    if undoing is not None:
        reason = f"The loss is {_share(progress)}."
        return Verdict(WILL_NOT_LEARN, moment.step, reason, undoing, progress.loss_share)
    answer, reason = _conclude(progress) if is_over else _foresee(progress)
    cause = find_cause(moment) if answer == WILL_NOT_LEARN else None
    limit = _FAILED_SHARE if is_over else None
    return Verdict(answer, moment.step, reason, cause, progress.loss_share, limit)


def _conclude(progress: Progress) -> tuple[Answer, str]:
    """Say what has become of a training that is over."""
    reason = f"The loss is {_share(progress)}."
    if _FAILED_SHARE.holds(progress.loss_share):
        return WILL_NOT_LEARN, reason
    return (LEARNS if _DONE_SHARE.holds(progress.loss_share) else TOO_EARLY), reason


def _foresee(progress: Progress) -> tuple[Answer, str]:
    """Say what will become of a training that goes on."""
    if math.isnan(progress.loss_share):
        return TOO_EARLY, "The loss may be negative: where it would end is not known."
    if _LEARNED_SHARE.holds(progress.loss_share) or _LEARNED_GAIN.holds(progress.gain):
        gain = "" if math.isnan(progress.gain) else f", the accuracy {progress.gain:+.0%}"
        return LEARNS, f"The loss is {_share(progress)}{gain}."
    if math.isnan(progress.dependence):
        return TOO_EARLY, (
            f"The loss is {_share(progress)}, and the outputs, which would tell more, are not"
            " recorded."
        )
    answers = _ANSWERS.holds(progress.dependence)
    if answers and _FALLEN.holds(progress.loss_fall):
        return TOO_EARLY, f"The loss is {_share(progress)}, and falls."
    risen = _RISEN.holds(progress.excess)
    if _GROWN.holds(progress.grown) and _STARTS.holds(progress.expected) and not risen:
        return TOO_EARLY, (
            f"The loss is {_share(progress)}, but outputs depend on the input more and more: the"
            f" dependence is {progress.dependence:.2g}, and {progress.expected:.2g} after"
            f" {HORIZON} times the steps if it goes on like this."
        )
    return WILL_NOT_LEARN, (
        f"The loss is {_share(progress)}, and does not fall."
        if risen
        else f"The loss is {_share(progress)}, and the outputs' dependence on the input, now"
        f" {progress.dependence:.2g}, does not grow."
    )


def _share(progress: Progress) -> str:
    reference = "where it began" if math.isnan(progress.excess) else "that of a constant answer"
    return f"{progress.loss_share:.0%} of {reference}"


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"
