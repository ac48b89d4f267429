"""The command, with stages side by side on this machine, and its refusals."""

import json
import os
import shutil
import signal
import sys
from hashlib import md5
from pathlib import Path

import pytest
from dvc.lock import make_lock
from filelock import FileLock
from ruamel.yaml import YAML

from cluster.__main__ import main
from tests.cluster import toy
from tests.cluster.toy import begin, run, runs, states
from tests.support.processes import alive, until
from vanishing.errors import StudyError, run_command


@pytest.mark.slow
def test_side_by_side_gives_the_results_of_one_by_one(project: Path, expected: Path) -> None:
    done = run(project, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert toy.same_results(project, expected)
    assert runs(project) == ["x", "y"]
    ran = ["queued", "running", "done"]
    assert states(done.stdout) == dict.fromkeys(("prepare", "fan@x", "fan@y", "join"), ran)
    (last,) = [line for line in done.stdout.splitlines() if "4/4" in line]
    assert last.split()[2:7] == ["00:00", "left", "4/4", "done", "join"]
    assert "Running stage 'fan@x'" in (project / ".dvc/tmp/cluster/fan@x.log").read_text()

    (project / "input.txt").write_text("# not in Git\nhello\n")
    commented = run(project, "--jobs", "2")
    assert commented.returncode == 0, commented.stderr
    assert states(commented.stdout)["prepare"] == ran
    skipped = ["queued", "unchanged"]
    assert [states(commented.stdout)[n] for n in ("fan@x", "fan@y", "join")] == [skipped] * 3
    assert runs(project) == ["x", "y"]
    stages = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    edited = md5((project / "input.txt").read_bytes(), usedforsecurity=False).hexdigest()
    assert stages["prepare"]["deps"][0]["md5"] == edited

    again = run(project, "--jobs", "2")  # which starts no Ray
    assert again.returncode == 0
    assert states(again.stdout) == {}


@pytest.mark.slow
def test_a_failed_stage_stops_its_dependents_and_no_other_stage(project: Path) -> None:
    failing = "test ${item.name} != x || { echo no x today >&2; exit 3; };\n      echo"
    pipeline = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(pipeline.replace("echo ${item.name} >> $RUNS", failing))
    done = run(project, "--jobs", "2")
    assert done.returncode == 1
    assert "no x today" in done.stderr
    assert "error: fan@x failed; its log is .dvc/tmp/cluster/fan@x.log" in done.stderr
    assert (project / "y").exists()
    assert not (project / "join").exists()
    assert states(done.stdout)["join"] == ["queued"]


@pytest.mark.slow
def test_a_pipeline_in_a_folder_runs_through_a_link(tmp_path: Path) -> None:
    project, plain = tmp_path / "project", tmp_path / "plain"
    toy.lay_out_studies(project)
    shutil.copytree(project, plain, symlinks=True)
    pipeline = "studies/one/dvc.yaml"
    variables = {"NOTE": "one by one", "OMP_WAIT_POLICY": "active", "PYTHONPATH": str(plain)}
    toy.dvc(plain, "repro", pipeline, **variables)

    # The package `toolbox` is not on this PYTHONPATH: a stage imports it from its copy.
    done = run(project, "--jobs", "2", "--pipeline", f"./{pipeline}", NOTE="side by side")
    assert done.returncode == 0, done.stdout + done.stderr
    stages = ["base/dvc.yaml:make", *(f"{pipeline}:{n}" for n in ("prepare", "fan@x", "fan@y"))]
    assert states(done.stdout) == {name: ["queued", "running", "done"] for name in stages}
    names = [f"studies/one/{name}" for name in ("dvc.lock", "y", "lines.txt", ".gitignore")]
    for name in [*names, "base/dvc.lock"]:
        assert (project / name).read_bytes() == (plain / name).read_bytes()
    assert (project / pipeline).is_symlink()
    notes = json.loads((project / "studies/one/notes/prepare.json").read_text())
    expected = {"variable": "side by side", "wait policy": "passive", "code is the copy's": True}
    assert notes == expected
    root_results = ("dvc.lock", "prepared.txt", "x", "notes")
    assert not any((project / name).exists() for name in root_results)


@pytest.mark.slow
def test_a_kill_costs_no_more_than_the_stage_that_ran(project: Path) -> None:
    (project / "dvc.yaml").write_text(toy.SLOW)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with begin(project, "--jobs", "2") as driver:
        _, stage, child = processes(project)
        driver.send_signal(signal.SIGINT)
        _, errors = driver.communicate(timeout=60)
    assert errors == "error: interrupted; stages that were done are not run again\n"
    until(lambda: not alive(stage) and not alive(child))

    with begin(project, "--jobs", "2") as driver:
        _, stage, child = processes(project)
        driver.kill()
    until(lambda: not alive(stage) and not alive(child))

    with begin(project, "--jobs", "2") as driver:
        worker, stage, child = processes(project)
        (project.parent / "runs.again").touch()
        os.kill(worker, signal.SIGKILL)
        printed, errors = driver.communicate(timeout=60)
    assert driver.returncode == 0, errors
    assert runs(project) == ["quick", "slow", "slow", "slow", "slow"]  # Ray tried it again
    assert states(printed)["quick"][-1] == "cached"
    assert (project / "slow").read_text() == "slow\n"
    until(lambda: not alive(stage) and not alive(child))


def processes(project: Path) -> tuple[int, int, int]:
    """Wait for the stage `slow`; return the processes of Ray's worker, the stage and its child."""
    path = project.parent / "runs.processes"
    until(lambda: path.exists() and len(path.read_text().split()) == 3)
    worker, stage, child = map(int, path.read_text().split())
    path.unlink()
    return worker, stage, child


def refusal(*arguments: str) -> str:
    """Call the command, which must refuse to run; return its message, a single line."""
    with pytest.raises(StudyError) as error:
        main(list(arguments))
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("stages: [", "unable to read: 'dvc.yaml', YAML file structure is corrupted; `dvc status`"),
        ("stages: {a: {cmdd: x}}", "validation failed: 2 errors; `dvc status` says where"),
        ("stages: {a: {cmd: x, deps: [b], outs: [b]}}", "both a dependency and an output in stage"),
    ],
)
def test_a_pipeline_that_dvc_refuses_is_refused_in_one_line(
    project: Path, pipeline: str, message: str
) -> None:
    (project / "dvc.yaml").write_text(pipeline)
    assert message in refusal("--jobs", "2")


def test_an_error_is_a_line_on_stderr_and_the_exit_status(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "dvc.yaml").write_text("stages: [")
    monkeypatch.setattr(sys, "argv", ["cluster", "--jobs", "2"])
    assert run_command(main) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: unable to read: 'dvc.yaml', ")


@pytest.mark.slow
def test_another_run_in_the_same_repository_is_refused(project: Path) -> None:
    folder = project / ".dvc/tmp/cluster"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        message = refusal("--jobs", "2")
    assert message == f"{project}: another run of the pipeline is at work here"
    with make_lock(str(project / ".dvc/tmp/lock")):
        message = refusal("--jobs", "2")
    assert message.startswith("Unable to acquire lock. Most likely another DVC process is")


def test_a_folder_without_a_repository_or_pipeline_is_left_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("--jobs", "2") == (f"{tmp_path}: no .dvc here; run from a DVC repository's root")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".dvc").mkdir()
    assert "no studies/one/dvc.yaml here" in refusal(
        "--jobs", "2", "--pipeline", "studies/one/dvc.yaml"
    )
    assert list((tmp_path / ".dvc").iterdir()) == []


@pytest.mark.usefixtures("project")
def test_no_jobs_are_refused() -> None:
    assert refusal("--jobs", "0") == "--jobs should be 1 or more; given 0"
