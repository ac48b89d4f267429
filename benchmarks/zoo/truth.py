"""The truth about a case, from the outcomes of its trainings alone (docs/decisions/0023).

Nothing here knows what a case was meant to be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from benchmarks.zoo.cases import Case
from benchmarks.zoo.training import Outcome

SEEDS = (0, 1, 2, 3, 4)
AGREE = 4  # of the five seeds
FAILS, LEARNS = 0.2, 0.8  # skill below, at or above
LATE_SEEDS = 3
TWIN_GAIN = 0.4  # what a twin reaches over the best constant answer, at least

_LAST_CHECKPOINTS = slice(3, None)  # 90, 95 and 100 % of the steps
_FIRST_CHECKPOINT = 0  # 10 %

Verdict = Literal["learns", "will not learn", "between"]


@dataclass(frozen=True)
class Truth:
    """What became of a case.

    Attributes:
        verdict: None where there is no truth.
        skills: Of the seeds, in order; empty where the twin's accuracy gives no scale.
        late: Whether it learns, and shows nothing of it at a tenth of the steps.
        why_none: Why there is no truth; empty where there is one.
    """

    verdict: Verdict | None
    skills: tuple[float, ...]
    late: bool = False
    why_none: str = ""


def final_accuracy(outcome: Outcome) -> float:
    """Return a, the mean test accuracy at 90, 95 and 100 % of the steps."""
    return mean(outcome.accuracies[_LAST_CHECKPOINTS])


def skill(accuracy: float, constant: float, twin: float) -> float:
    """Return s = (a - c) / (A - c).

    Args:
        accuracy: Of the training, a.
        constant: Share of the largest class in the test set, c.
        twin: Median accuracy of the twin, A, above c.

    Returns:
        0 for the best constant answer, 1 for the twin's; it may lie below 0 or above 1.
    """
    return (accuracy - constant) / (twin - constant)


def final_skill(outcome: Outcome, constant: float, twin: float) -> float:
    """Return the skill at the end; 0 if the last loss is not finite, whatever was reached."""
    if not math.isfinite(outcome.losses[-1]):
        return 0.0
    return skill(final_accuracy(outcome), constant, twin)


def verdict(skills: Sequence[float]) -> Verdict:
    """Judge the skills of five seeds."""
    if sum(s < FAILS for s in skills) >= AGREE:
        return "will not learn"
    if sum(s >= LEARNS for s in skills) >= AGREE:
        return "learns"
    return "between"


def is_late(outcomes: Sequence[Outcome], constant: float, twin: float) -> bool:
    """Tell whether at least three seeds have a skill below 0.2 at a tenth of the steps."""
    early = [skill(outcome.accuracies[_FIRST_CHECKPOINT], constant, twin) for outcome in outcomes]
    return sum(s < FAILS for s in early) >= LATE_SEEDS


def judge(
    cases: Sequence[Case],
    outcomes: Mapping[str, Sequence[Outcome]],
    constants: Mapping[str, float],
) -> dict[str, Truth]:
    """Find the truth about cases, twins first.

    Args:
        cases: Them and all their twins, in any order.
        outcomes: By name, of SEEDS in order.
        constants: Share of the largest class in the test set, by dataset.

    Returns:
        {name: truth}.
    """
    by_name = {case.name: case for case in cases}
    truths: dict[str, Truth] = {}

    def find(case: Case) -> Truth:
        if case.name not in truths:
            twin = None if case.twin == case.name else find(by_name[case.twin])
            scale = accuracy_of_twin(outcomes[case.twin])
            truths[case.name] = _judge(outcomes[case.name], constants[case.dataset], scale, twin)
        return truths[case.name]

    return {case.name: find(case) for case in cases}


def accuracy_of_twin(outcomes: Sequence[Outcome]) -> float:
    """Return A, the median over seeds of the twin's final accuracy.

    A training whose last loss is not finite counts as 0.
    """
    return median(
        final_accuracy(outcome) if math.isfinite(outcome.losses[-1]) else 0.0
        for outcome in outcomes
    )


def _judge(outcomes: Sequence[Outcome], constant: float, scale: float, twin: Truth | None) -> Truth:
    """Judge a case; `twin` is None for a network of reference, its own twin."""
    if scale - constant < TWIN_GAIN:
        return Truth(None, (), why_none="its twin gains too little over a constant answer")
    skills = tuple(final_skill(outcome, constant, scale) for outcome in outcomes)
    if twin and twin.verdict != "learns":
        return Truth(None, skills, why_none="its twin does not itself learn")
    conclusion = verdict(skills)
    return Truth(
        conclusion, skills, late=conclusion == "learns" and is_late(outcomes, constant, scale)
    )


def is_slow(planned: Truth, longer: Sequence[Outcome], constant: float, twin: float) -> bool:
    """Tell whether a case that does not learn in the planned run learns in a longer one.

    Args:
        planned: The truth of the planned run.
        longer: Outcomes of SEEDS after four times the steps.
        constant: Share of the largest class in the test set.
        twin: Accuracy of the twin in its planned run: the scale stays.

    Returns:
        Whether it is slow.
    """
    if planned.verdict not in {"between", "will not learn"}:
        return False
    return verdict([final_skill(outcome, constant, twin) for outcome in longer]) == "learns"
