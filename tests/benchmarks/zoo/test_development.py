"""Further cases of the development half: no tested case is among them, under whatever name."""

from collections import Counter

from benchmarks.zoo.cases import CASES
from benchmarks.zoo.development import further_cases
from benchmarks.zoo.split import half


def test_further_cases_are_new_and_of_the_development_half() -> None:
    cases = further_cases()
    recipes = [case.recipe for case in CASES]
    assert all(half(case) == "development" for case in cases)
    assert not any(case.recipe in recipes for case in cases)
    assert len({case.name for case in cases}) == len(cases) == 658
    assert Counter(case.dataset for case in cases) == {"mnist": 292, "mnist-8x8": 366}
    assert Counter(case.fault for case in cases)["momentum-0.999"] == 13
