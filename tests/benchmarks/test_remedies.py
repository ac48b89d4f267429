"""The score of remedies: groups of cases, what counts as healed, and the tables."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import remedies
from benchmarks.zoo import healing, tasks
from benchmarks.zoo.cases import CASES, Case
from benchmarks.zoo.double_faults import double_faults
from benchmarks.zoo.healing import AS_IS, Healing, Recommendation
from benchmarks.zoo.rivals import recommendations
from benchmarks.zoo.split import Half, half
from vanishing.files import write_json
from vanishing.remedies.changes import SINGLES, rate
from vanishing.remedies.pilots import Pilot

BY_NAME = {case.name: case for case in CASES}
REFERENCE = BY_NAME["digits-mlp-relu-1-adam"]
SICK = next(case for case in CASES if case.dataset == "digits" and case.cause == "depth")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of data/zoo/remedies."""
    monkeypatch.setattr(healing, "_FOLDER", tmp_path)
    return tmp_path


def keep(case: Case, change: str, accuracy: float | None) -> None:
    """Keep the same accuracy for both seeds."""
    for seed in remedies.SEEDS:
        write_json(Healing(case, change, seed).path, accuracy)


def test_every_case_is_in_one_group_and_of_a_tested_half() -> None:
    groups = remedies.groups_of(("held out", "unseen"))
    cases = [case for members in groups.values() for case in members]
    assert len({case.name for case in cases}) == len(cases)
    assert {half(case) for case in cases} == {"held out", "unseen"}
    assert all(case.cause in remedies.CHANGEABLE for case in groups["sick, held out"])


@pytest.mark.parametrize("part", ["development", "held out"])
def test_two_faults_are_of_their_half_and_of_bases_of_their_own(part: Half) -> None:
    cases = double_faults(part)
    assert len(cases) >= 15
    assert len({case.twin for case in cases}) == len(cases)
    assert {half(BY_NAME[case.twin]) for case in cases} == {part}


def test_a_task_trains_with_the_loop_of_its_case() -> None:
    pilot = Pilot(tasks.task_of(REFERENCE), None, 0)
    pilot.advance(60)
    assert pilot.level(60) > 0.7


def test_the_loop_of_a_task_warms_up_and_leaves_the_change_of_a_rate_in_place() -> None:
    task = tasks.task_of(replace(REFERENCE, warm_up=10, optimizer="sgd", settings={"lr": 0.5}))
    pilot = Pilot(task, rate(0.1), 0)
    pilot.advance(1)
    assert pilot.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.1 / 10)
    pilot.advance(12)
    assert pilot.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.usefixtures("folder")
def test_healed_is_nine_tenths_of_the_twins_skill() -> None:
    twin = remedies.twin_of(SICK)
    keep(twin, AS_IS, 0.9)
    keep(SICK, "Adam", 0.83)
    keep(SICK, "ReLU", 0.5)
    keep(SICK, "skip connections", None)
    assert remedies.heals(SICK, "Adam")
    assert not remedies.heals(SICK, "ReLU")
    assert not remedies.heals(SICK, "skip connections")
    assert not remedies.heals(SICK, None)


def test_what_is_trained_is_kept_and_a_change_that_does_not_apply_is_none(folder: Path) -> None:
    healing_of_reference = Healing(REFERENCE, "ReLU", 100)  # it has no other activation
    healing.train(healing_of_reference)
    assert healing_of_reference.read() is None
    assert not healing_of_reference.missing
    assert list(folder.rglob("*.json")) == [healing_of_reference.path]


@pytest.mark.usefixtures("folder")
def test_tables_count_what_heals_and_who_is_changed() -> None:
    twin = remedies.twin_of(SICK)
    keep(twin, AS_IS, 0.9)
    changes = [change.name for change in SINGLES]
    for change in {*changes, *healing.ALWAYS}:
        keep(SICK, change, 0.1)
        keep(REFERENCE, change, 0.3)
    keep(SICK, "Adam", 0.9)
    keep(REFERENCE, AS_IS, 0.9)
    groups = {
        "sick, unseen": [SICK],
        "plain, unseen": [next(case for case in CASES if case.cause == "loss")],
        "healthy": [REFERENCE],
    }
    plain = groups["plain, unseen"][0]
    answers = {
        SICK.name: Recommendation("change", "Adam", None, True, 0.7, "ReLU"),
        plain.name: Recommendation("fault", None, "loss", False, 0.2, None),
        REFERENCE.name: Recommendation("learns", None, None, False, 0.2, None),
    }
    lines = {SICK.name: "Reduce the learning rate.", REFERENCE.name: "Check the data."}
    choices = remedies.choices_of(groups, answers, lines)
    assert choices[remedies.TORCHMORTEM] == {SICK.name: "learning rate × 0.1", REFERENCE.name: None}
    figures = remedies.summarize(groups, answers, choices)
    results = {result.what: result.value for result in figures.results}
    assert results["remedies: the first recommendation heals"] == 1
    assert results["remedies: plain faults named"] == 1
    assert results["remedies: healthy networks changed"] == 0
    table = {row["method"]: row for row in figures.tables["remedies"]}
    assert table[remedies.OURS]["all"].startswith("1.00")
    assert table["He and batch normalization always"]["healthy changed"] == "1 of 1"
    assert table["He and batch normalization always"]["made worse"] == "1"
    assert table[remedies.TORCHMORTEM]["all"].startswith("0.00")
    assert table[remedies.TORCHMORTEM]["healthy changed"] == "0 of 1"
    assert figures.tables["not healed"] == []


@pytest.mark.usefixtures("folder")
def test_cases_count_where_the_training_fails_as_it_is() -> None:
    failing, learning = [case for case in CASES if case.dataset == "digits" and case.fault][:2]
    for case, accuracy in ((failing, 0.15), (learning, 0.6)):
        keep(remedies.twin_of(case), AS_IS, 0.9)
        keep(case, AS_IS, accuracy)
    assert remedies.failing([failing, learning]) == [failing]


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("Add skip/residual connections to improve gradient flow.", "skip connections"),
        ("Apply gradient clipping (e.g. clip_grad_norm_ with max_norm=1.0).", "gradient clipping"),
        ("Try increasing the learning rate temporarily (…).", "learning rate × 10"),
        ("Switch from ReLU to LeakyReLU, ELU, or GELU -- these …", "leaky ReLU"),
        ("Check for vanishing gradients in earlier layers.", None),
        (None, None),
    ],
)
def test_a_line_of_torchmortem_is_a_change_or_none(line: str | None, change: str | None) -> None:
    named = recommendations.change_of(line)
    assert (named.name if named else None) == change
    if named is not None:
        assert healing.change_named(named.name) is named


def test_changes_that_only_torchmortem_names_do_what_they_say() -> None:
    task = tasks.task_of(REFERENCE)
    clipped = Pilot(task, recommendations.OTHERS["gradient clipping"], 0)
    decayed = Pilot(task, recommendations.OTHERS["weight decay"], 0)
    assert decayed.optimizer.param_groups[0]["weight_decay"] == 0.01
    parameter = next(clipped.model.parameters())
    parameter.grad = torch.full_like(parameter, 10.0)
    clipped.optimizer.step()
    assert parameter.grad.norm() == pytest.approx(1.0, abs=1e-4)
