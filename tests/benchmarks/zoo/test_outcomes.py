"""Kept outcomes: a run is resumed, and what an outcome depends on makes it missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.zoo import __main__ as zoo
from benchmarks.zoo import outcomes, truth
from benchmarks.zoo.cases import CASES
from benchmarks.zoo.outcomes import Run
from benchmarks.zoo.split import half
from benchmarks.zoo.table import TABLE
from benchmarks.zoo.training import Outcome
from benchmarks.zoo.truth import Truth
from vanishing.errors import StudyError

REFERENCE = next(case for case in CASES if case.name == "digits-mlp-relu-1-adam")
RUNS = [Run(REFERENCE, seed, steps=10) for seed in range(3)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder as the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Run] = []
    make = outcomes.make

    def make_until_killed(run: Run) -> Outcome:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(run)
        return make(run)

    monkeypatch.setattr(outcomes, "make", make_until_killed)
    with pytest.raises(KeyboardInterrupt):
        zoo.complete(RUNS, 1, outcomes.make)
    assert [run.missing for run in RUNS] == [False, False, True]
    trained.clear()
    zoo.complete(RUNS, 1, outcomes.make)
    assert trained == RUNS[2:]
    assert outcomes.read(RUNS[0]) == make(RUNS[0])


def test_a_diverged_outcome_is_read_as_it_was_kept() -> None:
    run = Run(replace(REFERENCE, defect="nan"), 0, steps=40)
    assert str(outcomes.make(run).losses) == str(outcomes.read(run).losses)


def test_a_trace_that_is_asked_for_is_made_and_an_unfinished_one_is_replaced() -> None:
    run = Run(REFERENCE, 0, steps=10)
    outcomes.make(run)
    traced = run._replace(traced=True)
    assert traced.path == run.path
    assert traced.missing
    unfinished = traced.trace.with_suffix(".unfinished")
    unfinished.mkdir()
    (unfinished / "run.json").write_text("cut off")
    outcomes.make(traced)
    assert not traced.missing
    assert (traced.trace / "trace.parquet").exists()
    assert not unfinished.exists()


def test_the_key_is_that_of_what_is_trained_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = RUNS[0]
    settings = {**REFERENCE.settings, "lr": 0.5}
    others = [
        run._replace(seed=7),
        run._replace(steps=11),
        run._replace(case=replace(REFERENCE, settings=settings)),
    ]
    assert len({outcomes.key(other) for other in [run, *others]}) == len(others) + 1
    described = replace(REFERENCE, cause="loss", layer="head", tags=frozenset({"slow"}))
    assert outcomes.key(run._replace(case=described)) == outcomes.key(run)
    before = outcomes.key(run)
    monkeypatch.setattr(outcomes, "code", lambda: "another text")
    assert outcomes.key(run) != before


@pytest.mark.slow
def test_workers_train_the_same_as_this_process() -> None:
    zoo.complete(RUNS[:2], 2, outcomes.make)
    kept = [outcomes.read(run) for run in RUNS[:2]]
    assert kept == [outcomes.make(run) for run in RUNS[:2]]


def test_twins_are_added() -> None:
    sick = next(case for case in CASES if case.dataset == "digits" and case.twin != REFERENCE.name)
    names = {case.name for case in zoo.with_twins([sick])}
    assert names == {sick.name, sick.twin, REFERENCE.name}


def test_a_partial_run_prints_its_table_and_writes_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    shorten(monkeypatch)
    zoo.main(["--cases", f"{REFERENCE.name}+*"])
    printed = capsys.readouterr().out
    assert REFERENCE.name in printed
    assert "unseen" in printed
    assert not (folder / TABLE).exists()


def test_the_whole_zoo_writes_the_table(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    sick = next(case for case in CASES if case.family == REFERENCE.name and case.fault)
    monkeypatch.setattr(zoo, "CASES", (REFERENCE, sick))
    shorten(monkeypatch)
    zoo.main([])
    lines = (folder / TABLE).read_text().splitlines()
    assert lines[0] == (
        "name,half,truth,skill_0,skill_1,skill_2,skill_3,skill_4,late,slow,cause,layer"
    )
    assert [line.split(",")[0] for line in lines[1:]] == [REFERENCE.name, sick.name]


def test_what_does_not_learn_is_trained_for_longer_and_what_learns_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten(monkeypatch)
    monkeypatch.setattr(zoo, "LONGER_STEPS", 60)
    zoo.complete([Run(REFERENCE, seed, 10) for seed in truth.SEEDS], 1, outcomes.make)
    planned = {REFERENCE.name: Truth("between", (0.5,) * 5)}
    assert zoo.find_slow([REFERENCE], planned, 1) == {REFERENCE.name: True}
    planned = {REFERENCE.name: Truth("learns", (1.0,) * 5)}
    assert zoo.find_slow([REFERENCE], planned, 1) == {}


def test_a_pattern_without_a_case_is_refused() -> None:
    with pytest.raises(StudyError, match="no case is named cats"):
        zoo.main(["--cases", "cats"])


def test_a_case_without_truth_says_why() -> None:
    table = zoo.tabulate_truth([REFERENCE], {REFERENCE.name: Truth(None, (), why_none="no")}, {})
    assert list(table.iloc[0])[:3] == [REFERENCE.name, half(REFERENCE), "none: no"]


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command's trainings take ten steps."""
    monkeypatch.setattr(
        zoo, "Run", lambda case, seed, steps=10, traced=False: Run(case, seed, steps, traced)
    )
