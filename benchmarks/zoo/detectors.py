"""What each detector says of a traced training of the zoo, in columns of a table.

Answers that are no thresholds of ours stand as they are; single measurements stand as numbers, of
which a threshold makes a detector.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo import outcomes
from benchmarks.zoo.outcomes import Run
from benchmarks.zoo.training import CHECKPOINTS, STEPS, Outcome
from vanishing.judging.kinds import FAILS
from vanishing.judging.learning.causes import LAST_RESORT, find_cause
from vanishing.judging.learning.moment import Moment
from vanishing.judging.learning.progress import measure
from vanishing.judging.learning.verdict import Verdict, judge_learning
from vanishing.judging.runs import Run as WatchedRun
from vanishing.judging.runs import examine, load_run, problems
from vanishing.params.diagnose import Debugger, Diagnose
from vanishing.params.rules import DEBUGGER, DEFAULT, read_rules

EARLY = round(CHECKPOINTS[0] * STEPS)  # a tenth of the steps
MOMENTS = {"early": EARLY, "end": None}  # of our verdict; None: all steps
AT_START = "ours, at initialisation: a cause is named"
FAILING = "any rule of the kind that fails"
OF_DEBUGGER = "any of Debugger's rules"
RULE = "rule: "  # before the name of a health rule, among the columns
_RECENT = 10  # steps whose accuracies and losses are those of a moment
_FIRST = 5  # steps whose accuracies are those of the start
_FIRST_LOSSES = 3


def examine_all(runs: Sequence[Run], jobs: int) -> Iterator[dict[str, Any]]:
    """Examine runs that were traced.

    Args:
        runs: Which ones.
        jobs: How many at a time, each in a process of its own.

    Yields:
        A row per run, in their order.
    """
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(examine_run, runs, chunksize=8)


def examine_run(run: Run) -> dict[str, Any]:
    """Examine one run: `early_answer`, `end_cause`, …, health rules, and single measurements."""
    watched = load_run(run.trace)
    row: dict[str, Any] = {"name": run.case.name, "seed": run.seed}
    for moment, step in MOMENTS.items():
        row |= _answers(moment, judge_learning(watched, step))
    row[AT_START] = _is_named(watched)
    broken = problems(examine(watched, _rules(DEFAULT)))
    row |= {RULE + name: False for name in Diagnose.model_fields}
    row |= {RULE + problem["rule"]: True for problem in broken}
    row[FAILING] = any(problem["kind"] == FAILS for problem in broken)
    row[OF_DEBUGGER] = bool(problems(examine(watched, _rules(Path(DEBUGGER)))))
    return row | _measurements(watched) | _curve(outcomes.read(run))


def _is_named(watched: WatchedRun) -> bool:
    """Tell whether the first step alone shows a cause; that of last resort is no such."""
    cause = find_cause(Moment(watched, 1))
    return cause is not None and cause.name != LAST_RESORT


def _answers(moment: str, verdict: Verdict) -> dict[str, Any]:
    cause = verdict.cause
    return {
        f"{moment}_answer": verdict.answer,
        f"{moment}_cause": cause.name if cause else None,
        f"{moment}_layer": verdict.layer,
    }


@cache
def _rules(path: Path) -> Debugger:
    return read_rules(path)


def _measurements(watched: WatchedRun) -> dict[str, float]:
    """Return single measurements: the smaller, the more a training looks as if it will not learn.

    Returns:
        Numbers; NaN where there is none.
    """
    start, early = Moment(watched, 1), Moment(watched, EARLY)
    attenuation = start.run.attenuation()["value"].dropna()
    means = start.by_layer("weight_gradient", "mean_abs")
    updates = early.update_ratios
    progress = measure(early)
    dependence = start.of_network("output", "dependence").dropna()
    return {
        "attenuation at initialisation": float(attenuation.min()) if len(attenuation) else math.nan,
        "mean |dL/dW| at initialisation": float(means.iloc[0].min()) if len(means) else math.nan,
        "dependence at initialisation": float(dependence.iloc[0]) if len(dependence) else math.nan,
        "dependence": progress.dependence,
        "growth of the dependence": progress.grown,
        "update ratio": float(updates.iloc[-1].median()) if len(updates) else math.nan,
    }


def _curve(outcome: Outcome) -> dict[str, float]:
    """Return the rise of the batches' accuracy and the fall of the loss in a tenth of the steps."""
    losses = np.array(outcome.losses[:EARLY], dtype=float)
    accuracies = np.array(outcome.batch_accuracies[:EARLY])
    first, now = losses[:_FIRST_LOSSES].mean(), losses[-_RECENT:].mean()
    return {
        "rise of the accuracy": float(accuracies[-_RECENT:].mean() - accuracies[:_FIRST].mean()),
        "fall of the loss": float(1 - now / first),
    }
