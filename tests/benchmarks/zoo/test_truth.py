"""The rule of truth on made-up outcomes, at its limits."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.zoo import truth
from benchmarks.zoo.cases import CASES, Case
from benchmarks.zoo.training import Outcome
from benchmarks.zoo.truth import Truth, Verdict

# With these a skill is what is left of its digits, exactly: (0.75 - 0.25) / (0.75 - 0.25) = 1.
CONSTANT, TWIN = 0.25, 0.75
REFERENCE = next(case for case in CASES if case.name == "mnist-mlp-relu-1-adam")
BASE = next(case for case in CASES if case.name == "mnist-mlp-tanh-2-adam")
SICK = replace(BASE, name=f"{BASE.name}+fault", twin=BASE.name, fault="fault")


def outcome(final: float, early: float = CONSTANT, last_loss: float = 0.5) -> Outcome:
    return Outcome((2.3, last_loss), (early, early, final, final, final, final), (0.1, 0.1))


def five(*accuracies: float) -> list[Outcome]:
    return [outcome(accuracy) for accuracy in accuracies]


def judge(
    sick: Sequence[Outcome],
    base: Sequence[Outcome] | None = None,
    reference: Sequence[Outcome] | None = None,
) -> dict[str, Truth]:
    cases: list[Case] = [SICK, BASE, REFERENCE]
    good = five(*[TWIN] * 5)
    outcomes = {SICK.name: sick, BASE.name: base or good, REFERENCE.name: reference or good}
    return truth.judge(cases, outcomes, {"mnist": CONSTANT})


@pytest.mark.parametrize(
    ("skills", "expected"),
    [
        ((1, 1, 1, 1, 1), "learns"),
        ((0.8, 0.8, 0.8, 0.8, 0), "learns"),
        ((0.8, 0.8, 0.8, 0.799, 0.799), "between"),
        ((0.199, 0.199, 0.199, 0.199, 1), "will not learn"),
        ((0.2, 0.199, 0.199, 0.199, 0.2), "between"),
        ((0.5, 0.5, 0.5, 0.5, 0.5), "between"),
        ((-0.1, 0, 0.1, -1, 2), "will not learn"),
        ((0, 0, 1, 1, 1), "between"),
    ],
)
def test_four_of_five_seeds_have_to_agree(skills: tuple[float, ...], expected: Verdict) -> None:
    assert truth.verdict(skills) == expected


def test_the_skill_is_0_for_a_constant_answer_and_1_for_the_twin() -> None:
    assert truth.skill(CONSTANT, CONSTANT, TWIN) == 0
    assert truth.skill(TWIN, CONSTANT, TWIN) == 1
    assert truth.skill(0.5, CONSTANT, TWIN) == 0.5


def test_the_final_accuracy_is_the_mean_of_the_last_three_checkpoints() -> None:
    assert truth.final_accuracy(Outcome((1.0,), (0, 0, 0, 0.25, 0.5, 0.75), (0.1,))) == 0.5


@pytest.mark.parametrize("last_loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_at_the_end_has_no_skill(last_loss: float) -> None:
    diverged = [outcome(TWIN, last_loss=last_loss)] * 4 + [outcome(TWIN)]
    result = judge(diverged)[SICK.name]
    assert result.skills == (0, 0, 0, 0, 1)
    assert result.verdict == "will not learn"


def test_a_loss_that_was_not_finite_for_a_while_does_not_matter() -> None:
    skipped = Outcome((2.3, math.nan, 0.5), outcome(TWIN).accuracies, (0.1,) * 3)
    assert judge([skipped] * 5)[SICK.name].verdict == "learns"


def test_the_scale_is_the_median_of_the_twin() -> None:
    base = five(0.0, 0.7, TWIN, 0.8, 0.9)
    assert truth.accuracy_of_twin(base) == TWIN
    diverged = [outcome(0.9, last_loss=math.nan)] * 3 + five(0.9, 0.9)
    assert truth.accuracy_of_twin(diverged) == 0


def test_a_case_whose_twin_gains_too_little_has_no_truth() -> None:
    weak = five(*[0.64] * 5)
    truths = judge(five(*[0.64] * 5), base=weak, reference=weak)
    assert {result.verdict for result in truths.values()} == {None}
    assert truths[SICK.name].skills == ()
    assert "constant answer" in truths[SICK.name].why_none


def test_a_case_whose_twin_does_not_learn_has_no_truth() -> None:
    between = five(TWIN, TWIN, TWIN, 0.5, 0.5)
    truths = judge(five(*[CONSTANT] * 5), base=between)
    assert truths[BASE.name].verdict == "between"
    assert truths[SICK.name].verdict is None
    assert "does not itself learn" in truths[SICK.name].why_none


def test_a_late_starter_learns_and_shows_nothing_in_three_seeds() -> None:
    late, prompt = outcome(TWIN, early=0.34), outcome(TWIN, early=0.36)
    assert judge([late] * 3 + [prompt] * 2)[SICK.name].late
    assert not judge([late] * 2 + [prompt] * 3)[SICK.name].late
    assert not judge(five(*[CONSTANT] * 5))[SICK.name].late


def test_slow_is_what_learns_later_by_the_scale_of_the_planned_run() -> None:
    failing = Truth("will not learn", (0.0,) * 5)
    good, bad = five(*[TWIN] * 5), five(*[0.5] * 5)
    assert truth.is_slow(failing, good, CONSTANT, TWIN)
    assert not truth.is_slow(failing, bad, CONSTANT, TWIN)
    assert truth.is_slow(Truth("between", (0.5,) * 5), good, CONSTANT, TWIN)
    assert not truth.is_slow(Truth("learns", (1.0,) * 5), good, CONSTANT, TWIN)
    assert not truth.is_slow(Truth(None, ()), good, CONSTANT, TWIN)


def test_what_a_case_was_meant_to_be_changes_no_truth() -> None:
    assert judge(five(*[TWIN] * 5))[SICK.name].verdict == "learns"
