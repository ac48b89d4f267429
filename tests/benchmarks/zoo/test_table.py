"""The table of truths has a row per case, in the columns that scores read."""

from collections import Counter

from benchmarks.zoo.cases import CASES
from benchmarks.zoo.split import half
from benchmarks.zoo.table import read_truths


def test_each_case_has_its_half_and_its_truth() -> None:
    rows = read_truths()
    assert list(rows.index) == [case.name for case in CASES]
    assert list(rows["half"]) == [half(case) for case in CASES]
    assert list(rows["cause"]) == [case.cause for case in CASES]
    assert list(rows["layer"]) == [case.layer for case in CASES]
    kinds = Counter(truth.partition(":")[0] for truth in rows["truth"])
    assert set(kinds) == {"learns", "between", "will not learn", "none"}


def test_late_starters_learn() -> None:
    rows = read_truths()
    assert set(rows.loc[rows["late"], "truth"]) == {"learns"}
