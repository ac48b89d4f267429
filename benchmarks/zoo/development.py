"""The development half with further cases: `python -m benchmarks.zoo.development` rates verdicts.

The half has few cases of each fault, so rules that are made for it alone look better than they are.
Here each fault is given to further networks of the half, none of which is in another half, and to
such networks on MNIST with few images of 8 × 8 pixels: with one training each, whose outcome beside
its twin's is the truth. Nothing of the tested halves is read. In: data/raw. Out: data/zoo, which
keeps each training, so that a killed run is resumed.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from tabulate import tabulate

from benchmarks.verdicts import JOBS, score
from benchmarks.zoo import data, outcomes, truth
from benchmarks.zoo.__main__ import complete
from benchmarks.zoo.cases import CASES, FAULTS, Case, spread, without_repetitions
from benchmarks.zoo.detectors import MOMENTS, examine_all
from benchmarks.zoo.outcomes import Run
from benchmarks.zoo.rates import decided
from benchmarks.zoo.split import half
from benchmarks.zoo.table import read_truths
from vanishing.errors import run_command
from vanishing.params.answers import LEARNS, WILL_NOT_LEARN

SEED = 0
_COUNT = 12  # networks that get a fault
_FEW = 2  # likewise, of faults whose trainings mostly learn, or show nothing
_SMALL = "mnist-8x8"
_SHOWING_LITTLE = ("labels", "non-finite", "normalization")
_HEADS = ("", "finds", "false alarms", "of late starters")


def main(_: Sequence[str]) -> None:
    """Train what is missing; print the rates, and the cases that are misjudged early."""
    cases = [case for case in CASES if half(case) == "development"] + further_cases()
    runs = [Run(case, SEED, traced=True) for case in cases]
    complete(runs, JOBS, outcomes.make)
    frame = pd.DataFrame(examine_all(runs, JOBS)).join(_truths(cases), on="name")
    alarms = {moment: frame[f"{moment}_answer"] == WILL_NOT_LEARN for moment in MOMENTS}
    rates = {moment: score(frame, alarm) for moment, alarm in alarms.items()}
    print(tabulate([[m, r.recall, r.false_alarms, r.late] for m, r in rates.items()], _HEADS))
    judged = decided(frame)
    wrong = judged[alarms["early"][judged.index] != (judged["truth"] == WILL_NOT_LEARN)]
    print(tabulate(wrong[["name", "truth", "early_answer", "end_answer"]].to_dict("list"), "keys"))


def further_cases() -> list[Case]:
    """Return networks of the development half on small images, and faults that CASES lacks."""
    truths = read_truths()["truth"]
    healthy = [
        case
        for case in CASES
        if case.fault is None and half(case) == "development" and truths[case.name] == LEARNS
    ]
    small = list(map(_on_small_images, healthy))
    cases = small + _with_faults([case for case in healthy if not case.tags])
    cases += _with_faults([case for case in small if not case.tags])
    return without_repetitions([*CASES, *cases])[len(CASES) :]


def _on_small_images(case: Case) -> Case:
    name = case.name.replace(case.dataset, _SMALL, 1)
    return replace(case, name=name, dataset=_SMALL, twin=name)


def _with_faults(bases: Sequence[Case]) -> list[Case]:
    names = {case.name for case in CASES}
    cases: list[Case] = []
    for number, fault in enumerate(FAULTS):
        suitable = [b for b in bases if fault.suits(b) and fault.inflict(b).name not in names]
        is_few = fault.tag == "slow" or fault.cause in _SHOWING_LITTLE
        # Another start for each fault, so that each network gets some.
        chosen = spread(suitable, _FEW if is_few else _COUNT, 5 * number + 1)
        cases += map(fault.inflict, chosen)
    return cases


def _truths(cases: Sequence[Case]) -> pd.DataFrame:
    """Return truth, late and cause by name; of further cases by their training and its twin's."""
    known = read_truths()[["truth", "late", "cause"]]
    twins = {case.name: case for case in [*CASES, *cases]}
    further = {
        case.name: _truth(case, twins[case.twin]) for case in cases if case.name not in known.index
    }
    return pd.concat([known, pd.DataFrame.from_dict(further, "index", columns=known.columns)])


def _truth(case: Case, twin: Case) -> tuple[str, bool, str | None]:
    outcome, of_twin = (outcomes.read(Run(c, SEED, traced=True)) for c in (case, twin))
    constant = data.load(case.dataset).largest_class
    scale = truth.accuracy_of_twin([of_twin])
    if scale - constant < truth.TWIN_GAIN:
        return "", False, case.cause
    skill = truth.final_skill(outcome, constant, scale)
    if skill < truth.FAILS:
        return WILL_NOT_LEARN, False, case.cause
    early = truth.skill(outcome.accuracies[0], constant, scale)
    learns = skill >= truth.LEARNS
    return LEARNS if learns else "between", learns and early < truth.FAILS, case.cause


if __name__ == "__main__":
    sys.exit(run_command(main))
