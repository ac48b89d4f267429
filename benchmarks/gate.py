"""How often `vanishing.assert_trains` is wrong, on the zoo's trainings, whose truth is known.

Each case is given to the gate with its network, loss and optimizer (warm-up and clipping are hooks
on it), and the first 64 training images with its defect; all else is the gate's default. A case
that will not learn is **caught** if the gate fails it; one that learns is **stopped** if it does.
The truth is that of 500 steps (benchmarks/zoo/truth.csv). Cases between, or without a truth, count
nowhere.

NOT_SHOWN are faults that a few steps on one batch cannot show, and DETACHED those that the gate
fails by definition, whether the rest of the network learns or not. Both are counted apart. The
lists were written down, and the bounds set, on the half "development" alone, before any other case
was given to the gate.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from tqdm import tqdm

import vanishing
from benchmarks.measuring import Figures, Result, Row
from benchmarks.zoo import training
from benchmarks.zoo.cases import CASES, Case
from benchmarks.zoo.rates import wilson
from benchmarks.zoo.split import HALVES
from benchmarks.zoo.table import read_truths
from vanishing.gate.failures import DoesNotTrainError

LEARNS, FAILS = "learns", "will not learn"
NOT_SHOWN = frozenset(
    {
        "shuffled-labels",  # a batch is learned by heart, whatever its labels
        "half-shuffled-labels",
        "misaligned-labels",
        "sorted-labels",  # the order of batches
        "nan-in-data",  # 4 images of 4,000
        "statistics-forgotten",  # seen in the test alone
        "momentum-0.999",  # diverges late
        "momentum-1.01",
        "no-zero-grad",  # of the loop, in whose place the gate has its own
    }
)
DETACHED = frozenset({"detached", "detached-below-head"})


class Judgement(NamedTuple):
    """What the gate said of a case.

    Attributes:
        case: The case.
        half: Of the zoo.
        truth: What became of it: LEARNS or FAILS.
        checks: Names of the checks that failed, the gravest first; empty if it passed.
    """

    case: Case
    half: str
    truth: str
    checks: tuple[str, ...]


class Group(NamedTuple):
    """Cases whose share of failed ones is a figure.

    Attributes:
        what: As the table says it.
        truth: LEARNS or FAILS.
        belongs: Tells whether a fault's name is of the group; None is a healthy case.
        must: The limit that the share must reach; empty without one.
    """

    what: str
    truth: str
    belongs: Callable[[str | None], bool]
    must: str


GROUPS = (
    Group(
        "caught, of those that will not learn and can show it",
        FAILS,
        lambda fault: fault not in NOT_SHOWN | DETACHED,
        ">= 0.9",
    ),
    Group(
        "stopped, of those that learn, without detached layers",
        LEARNS,
        lambda fault: fault not in DETACHED,
        "<= 0.02",
    ),
    Group("caught, of faults that one batch cannot show", FAILS, NOT_SHOWN.__contains__, ""),
    Group("caught, with detached layers, will not learn", FAILS, DETACHED.__contains__, ""),
    Group("stopped, with detached layers, learn", LEARNS, DETACHED.__contains__, ""),
)


def measure() -> Figures:
    """Judge every case whose truth is one of the two.

    Returns:
        The counts by half. A StudyError says that the truth was not found out.
    """
    rows = read_truths()
    pairs = zip(rows["half"], rows["truth"], strict=True)
    return summarize(judge_all(dict(zip(rows.index, pairs, strict=True))))


def judge_all(truths: Mapping[str, tuple[str, str]]) -> list[Judgement]:
    """Give cases to the gate.

    Args:
        truths: {name of a case: its half and its truth}.

    Returns:
        Those that learn or will not learn, judged.
    """
    cases = [case for case in CASES if truths.get(case.name, ("", ""))[1] in {LEARNS, FAILS}]
    return [
        Judgement(case, *truths[case.name], judge(case))
        for case in tqdm(cases, desc="gate", unit="case", disable=None)
    ]


def judge(case: Case, seed: int = 0) -> tuple[str, ...]:
    """Give a case to the gate.

    Args:
        case: The case.
        seed: Of the defect, of a pretraining, and the first of the gate's three.

    Returns:
        The names of the checks that failed.
    """
    examples = training.examples_of(case, seed)
    batch = (
        examples.train.inputs[: training.BATCH],
        examples.train.labels[: training.BATCH],
    )
    try:
        vanishing.assert_trains(
            lambda: training.build(case, examples, seed),
            batch,
            training.LOSSES[case.loss],
            optimizer=partial(make_optimizer, case),
            seeds=(seed, seed + 1, seed + 2),
        )
    except DoesNotTrainError as error:
        return tuple(failure.check for failure in error.failures)
    return ()


def make_optimizer(case: Case, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Make the optimizer of a case, with its warm-up and clipping in hooks before each step."""
    optimizer = training.OPTIMIZERS[case.optimizer](parameters, **case.settings)
    steps = 0

    def prepare(optimizer: Optimizer, *_arguments: object) -> None:
        nonlocal steps
        steps += 1
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(case, steps)
        if case.clip is not None:
            clip_grad_norm_(parameters, case.clip)

    optimizer.register_step_pre_hook(prepare)
    return optimizer


def summarize(judgements: Sequence[Judgement]) -> Figures:
    """Count, with 95 % intervals after Wilson."""
    results, rows = [], []
    for half in HALVES:
        for group in GROUPS:
            members = [
                judgement
                for judgement in judgements
                if judgement.half == half
                and judgement.truth == group.truth
                and group.belongs(judgement.case.fault)
            ]
            if members:
                rows.append(_row(half, group, members))
                results.append(_result(half, group, members))
    return Figures(results, {"gate": rows})


def _result(half: str, group: Group, members: Sequence[Judgement]) -> Result:
    failed = sum(bool(member.checks) for member in members)
    low, high = wilson(failed, len(members))
    detail = f"{failed} of {len(members)}, 95 % interval {low:.3f} to {high:.3f}"
    what = f"gate, {half}: share {group.what}"
    return Result(what, failed / len(members), group.must, group.must, "", detail)


def _row(half: str, group: Group, members: Sequence[Judgement]) -> Row:
    gravest = Counter(member.checks[0] for member in members if member.checks)
    surprising = group.truth == LEARNS
    names = [member.case.name for member in members if bool(member.checks) == surprising]
    return {
        "half": half,
        "cases": group.what,
        "count": len(members),
        "failed": gravest.total(),
        "by the gravest check": ", ".join(f"{count} {name}" for name, count in gravest.items()),
        "wrongly": ", ".join(names),
    }
