"""Train the zoo and tabulate its truth: `python -m benchmarks.zoo`.

In: data/raw, for the cases of MNIST. Out: data/zoo, which keeps each outcome, so that a killed run
is resumed; benchmarks/zoo/truth.csv if all cases were asked for, else a table of those that were.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

import pandas as pd
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.zoo import data, outcomes, truth
from benchmarks.zoo.cases import CASES, Case
from benchmarks.zoo.outcomes import AnyPiece, Run
from benchmarks.zoo.split import HALVES, half
from benchmarks.zoo.table import TABLE
from benchmarks.zoo.training import STEPS
from benchmarks.zoo.truth import SEEDS, Truth, Verdict
from vanishing.errors import StudyError, run_command
from vanishing.files import write_text

LONGER_STEPS = 4 * STEPS


def main(argv: list[str]) -> None:
    """Train what is missing, judge, and write or print.

    Raises:
        StudyError: If no case has such a name, a number is none, or images are missing.
    """
    options = _parse(argv)
    cases = with_twins(
        case
        for case in CASES
        if fnmatchcase(case.name, options.cases) and options.half in {None, half(case)}
    )
    if not cases:
        raise StudyError(f"--cases: no case is named {options.cases}; see benchmarks/zoo/cases.py")
    runs = [Run(case, seed, traced=options.traces) for case in cases for seed in SEEDS]
    complete(runs, options.jobs, outcomes.make)
    truths = find_truths(cases)
    slow = find_slow(cases, truths, options.jobs) if options.slow else {}
    table = tabulate_truth(cases, truths, slow)
    if len(cases) == len(CASES):
        write_text(TABLE, table.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
        print(f"{TABLE} is written")
    else:
        print(tabulate(table.fillna("").to_dict("list"), "keys", floatfmt=".2f"))
    print_counts(cases, truths)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument(
        "--cases", default="*", metavar="PATTERN", help="as in a shell; their twins are added"
    )
    parser.add_argument("--half", choices=HALVES, help="those of one half alone, and their twins")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    parser.add_argument(
        "--traces", action="store_true", help="keep what vanishing.watch records of each training"
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help=f"train what does not learn for {LONGER_STEPS} steps too",
    )
    options = parser.parse_args(argv)
    if options.jobs < 1:
        raise StudyError(f"--jobs: should be at least 1; given {options.jobs}")
    return options


def with_twins(cases: Iterable[Case]) -> list[Case]:
    """Add the twins of cases, and theirs; return all in the order of CASES."""
    by_name = {case.name: case for case in CASES}
    names: set[str] = set()
    left = [case.name for case in cases]
    while left:
        name = left.pop()
        if name not in names:
            names.add(name)
            left.append(by_name[name].twin)
    return [case for case in CASES if case.name in names]


def complete(pieces: Sequence[AnyPiece], jobs: int, work: Callable[[AnyPiece], object]) -> None:
    """Do those pieces of work that are missing, and show how far it is."""
    missing = [piece for piece in pieces if piece.missing]
    with tqdm(total=len(pieces), initial=len(pieces) - len(missing), unit="training") as progress:
        for piece in outcomes.make_all(missing, jobs, work):
            progress.set_postfix_str(piece.case.name, refresh=False)
            progress.update()


def find_truths(cases: Sequence[Case]) -> dict[str, Truth]:
    """Judge cases by their outcomes, which are there, and those of their twins too."""
    results = {case.name: [outcomes.read(Run(case, seed)) for seed in SEEDS] for case in cases}
    constants = {name: data.load(name).largest_class for name in {case.dataset for case in cases}}
    return truth.judge(cases, results, constants)


def find_slow(cases: Sequence[Case], truths: dict[str, Truth], jobs: int) -> dict[str, bool]:
    """Train the cases that do not learn four times as long; return {name: whether it is slow}."""
    asked = [case for case in cases if truths[case.name].verdict in {"between", "will not learn"}]
    runs = [Run(case, seed, LONGER_STEPS) for case in asked for seed in SEEDS]
    complete(runs, jobs, outcomes.make)
    by_name = {case.name: case for case in cases}
    slow = {}
    for case in asked:
        twin = [outcomes.read(Run(by_name[case.twin], seed)) for seed in SEEDS]
        longer = [outcomes.read(Run(case, seed, LONGER_STEPS)) for seed in SEEDS]
        constant = data.load(case.dataset).largest_class
        slow[case.name] = truth.is_slow(
            truths[case.name], longer, constant, truth.accuracy_of_twin(twin)
        )
    return slow


def tabulate_truth(
    cases: Sequence[Case], truths: dict[str, Truth], slow: dict[str, bool]
) -> pd.DataFrame:
    """Return a row per case; a case without a truth says why in its place."""
    rows = []
    for case in cases:
        result = truths[case.name]
        skills = result.skills or (None,) * len(SEEDS)
        rows.append(
            {
                "name": case.name,
                "half": half(case),
                "truth": result.verdict or f"none: {result.why_none}",
                **{f"skill_{seed}": s for seed, s in zip(SEEDS, skills, strict=True)},
                "late": result.late,
                "slow": slow.get(case.name),
                "cause": case.cause,
                "layer": case.layer,
            }
        )
    return pd.DataFrame(rows)


def print_counts(cases: Sequence[Case], truths: dict[str, Truth]) -> None:
    """Print how many cases each half has of each truth."""
    counts = Counter((half(case), truths[case.name].verdict) for case in cases)
    verdicts: tuple[Verdict | None, ...] = ("learns", "between", "will not learn", None)
    rows = [[part, *(counts[part, verdict] for verdict in verdicts)] for part in HALVES]
    late = sum(result.late for result in truths.values())
    print(tabulate(rows, ["half", *(verdict or "none" for verdict in verdicts)]))
    print(f"late starters: {late}")


if __name__ == "__main__":
    sys.exit(run_command(main))
