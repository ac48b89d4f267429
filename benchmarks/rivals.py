"""How often other tools are wrong about trainings of the zoo, beside `verdicts` (0024).

In: data/raw, and benchmarks/zoo/truth.csv, which says what cases learn and what will not; no others
are asked about, and of these every second one: the answers of four tools take longer than all else.
data/zoo keeps each answer, so that a killed run is resumed. What counts as a tool's alarm is in
benchmarks/zoo/rivals/alarms.py.
"""

import pandas as pd

from benchmarks.measuring import Figures, Row
from benchmarks.verdicts import JOBS, row, score
from benchmarks.zoo.__main__ import complete
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.rates import decided
from benchmarks.zoo.rivals.answers import check_tools, make, questions, read_all
from benchmarks.zoo.split import TESTED
from benchmarks.zoo.table import read_truths

EVERY = 2  # of the cases, in the order of their list


def measure() -> Figures:
    """Ask what is missing, and score on the halves that no threshold has seen.

    Returns:
        A table. A StudyError says that a tool is not installed.
    """
    check_tools()
    truths = read_truths()
    truths = decided(truths[truths["half"].isin(TESTED)])
    asked = questions([case for case in CASES if case.name in truths.index][::EVERY])
    complete(asked, JOBS, make)
    return Figures([], {"rivals": rate_tools(read_all(asked), truths)})


def rate_tools(answers: pd.DataFrame, truths: pd.DataFrame) -> list[Row]:
    """Rate the answers of tools like every detector.

    Args:
        answers: As `read_all` returns them.
        truths: A row per case, by its name: half, truth, late, cause.

    Returns:
        A row per half and detector.
    """
    judged = answers.join(truths[["half", "truth", "late", "cause"]], on="name", how="inner")
    return [
        {
            **row(str(half), str(detector), score(group, group["alarm"])),
            "crashes": int(group["crashed"].sum()),
            "seconds a training": round(group["seconds"].mean(), 1),
        }
        for (half, detector), group in judged.groupby(["half", "detector"], sort=False)
    ]
