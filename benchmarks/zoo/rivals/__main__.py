"""Ask other tools about the zoo's trainings and count: `python -m benchmarks.zoo.rivals`.

In: data/raw, and benchmarks/zoo/truth.csv, which says what cases learn and what will not; no others
are asked about. Out: data/zoo, which keeps each answer, so that a killed run is resumed; a table of
rates. The tools have to be installed: `make bench` does it.
"""

import argparse
import sys

import pandas as pd
from tabulate import tabulate

from benchmarks.zoo.__main__ import TABLE, complete
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.rates import rate
from benchmarks.zoo.rivals.answers import SEED, make, questions, read_all
from benchmarks.zoo.split import HALVES, TESTED, half
from vanishing.errors import StudyError, run_command


def main(argv: list[str]) -> None:
    """Ask what is missing, and print.

    Raises:
        StudyError: If a number is none, or a tool is not installed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo.rivals", description=__doc__)
    parser.add_argument("--half", choices=HALVES, help="that one, instead of the two tested ones")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    options = parser.parse_args(argv)
    if options.jobs < 1:
        raise StudyError(f"--jobs: should be at least 1; given {options.jobs}")
    halves = (options.half,) if options.half else TESTED
    truths = pd.read_csv(TABLE, index_col="name")["truth"].to_dict()
    asked = questions(
        case
        for case in CASES
        if half(case) in halves and truths[case.name] in {"learns", "will not learn"}
    )
    complete(asked, options.jobs, make)
    answers = read_all(asked).assign(truth=lambda rows: rows["name"].map(truths))
    rows = [
        {
            "detector": detector,
            "finds": str(rate(group[group["truth"] == "will not learn"])),
            "false alarms": str(rate(group[group["truth"] == "learns"])),
            "crashes": int(group["crashed"].sum()),
            "seconds a training": group["seconds"].mean(),
        }
        for detector, group in answers.groupby("detector", sort=False)
    ]
    print(f"seed {SEED}, {' and '.join(halves)}")
    print(tabulate(rows, "keys", floatfmt=".1f"))


if __name__ == "__main__":
    sys.exit(run_command(main))
