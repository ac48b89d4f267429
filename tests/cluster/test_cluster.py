"""Stages side by side with a real Ray, on a dvc.yaml with a diamond, a matrix and a folder."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from dvc.lock import make_lock
from filelock import FileLock
from ray.cluster_utils import Cluster
from ruamel.yaml import YAML

from cluster import results
from tests.support.dvc_repository import call
from tests.support.processes import alive, until
from tests.support.study import ROOT

PIPELINE = """
stages:
  prepare:
    cmd: mkdir -p prepared && cp input.txt prepared/a.txt && echo b > prepared/b.txt
    deps: [input.txt]
    outs: [prepared]
  fan:
    matrix:
      name: [x, y, z]
    cmd: >-
      echo ${item.name} >> $RUNS; cat prepared/a.txt > ${item.name};
      echo ${item.name} >> ${item.name}
    deps: [prepared]
    outs: ["${item.name}"]
  left:
    cmd: cat x y > left
    deps: [x, y]
    outs: [left]
  right:
    cmd: cat y z > right
    deps: [y, z]
    outs: [right]
  join:
    cmd: cat left right > join && echo "{\\"lines\\":" $(wc -l < join) "}" > metrics.json
    deps: [left, right]
    outs: [join]
    metrics:
      - metrics.json:
          cache: false
"""


def dvc(folder: Path, *arguments: str, **variables: str) -> None:
    """Run DVC."""
    call(folder, sys.executable, "-m", "dvc", *arguments, environment=variables)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the pipeline as plain `dvc repro` leaves it, without its cache."""
    folder = tmp_path_factory.mktemp("plain")
    call(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    dvc(folder, "config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "input.txt").write_text("hello\n")
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", "pipeline")
    dvc(folder, "repro", RUNS=os.devnull)
    return folder


@pytest.fixture
def project(expected: Path, tmp_path: Path) -> Path:
    """Give a fresh clone of the pipeline, with an edit that Git does not have."""
    folder = tmp_path / "project"
    call(tmp_path, "git", "clone", "-q", str(expected), str(folder))
    return folder


def begin(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `python -m cluster` in a project; stages say in a file that they ran."""
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RUNS": str(folder.parent / "runs")} | variables,
    )


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m cluster` in a project to its end."""
    with begin(folder, *arguments, **variables) as process:
        printed, errors = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, printed, errors)


def runs(folder: Path) -> list[str]:
    """Return which stages of the fan ran."""
    return sorted((folder.parent / "runs").read_text().split())


def same(folder: Path, expected: Path) -> bool:
    """Say whether the lock and an output are those of plain `dvc repro`."""
    names = ("dvc.lock", "join", "metrics.json", "prepared/b.txt")
    return all((folder / n).read_bytes() == (expected / n).read_bytes() for n in names)


def test_side_by_side_gives_what_one_by_one_gives(project: Path, expected: Path) -> None:
    done = run(project, "--jobs", "3")
    assert done.returncode == 0, done.stderr
    assert same(project, expected)
    assert runs(project) == ["x", "y", "z"]
    assert done.stdout.count(" done ") == 7
    log = project / ".dvc/tmp/cluster/fan@x.log"
    assert "Running stage 'fan@x'" in log.read_text()
    again = run(project, "--jobs", "3")
    assert again.returncode == 0
    assert "queued" not in again.stdout
    assert runs(project) == ["x", "y", "z"]


def test_an_edit_that_git_does_not_have_travels(project: Path, expected: Path) -> None:
    (project / "input.txt").write_text("bye\n")
    assert run(project, "--jobs", "2").returncode == 0
    assert (project / "join").read_text().startswith("bye\nx\n")
    assert not same(project, expected)


def test_a_failed_stage_stops_what_depends_on_it_and_nothing_else(project: Path) -> None:
    pipeline = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(
        pipeline.replace("cat x y > left", "echo no left today >&2; exit 3")
    )
    done = run(project, "--jobs", "2")
    assert done.returncode == 1
    assert "no left today" in done.stderr
    assert "error: left failed; its log is .dvc/tmp/cluster/left.log" in done.stderr
    assert (project / "right").exists()
    assert not (project / "join").exists()
    assert runs(project) == ["x", "y", "z"]


def test_two_drivers_at_once_are_refused(project: Path) -> None:
    folder = project / ".dvc/tmp/cluster"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        done = run(project, "--jobs", "2")
    assert done.returncode == 1
    assert "another run of the pipeline is at work here" in done.stderr


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
    edit(project, pipeline)
    done = run(project, "--jobs", "2")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line


def test_a_dvc_that_is_at_work_here_is_told(project: Path) -> None:
    (project / ".dvc/tmp").mkdir()
    with make_lock(str(project / ".dvc/tmp/lock")):
        done = run(project, "--jobs", "2")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Unable to acquire lock. Most likely another DVC process is")


def test_where_there_is_no_repository_none_is_begun(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    done = run(tmp_path, "--jobs", "2")
    assert done.stderr == f"error: {tmp_path}: no .dvc here; run from a DVC repository's root\n"
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs should be 1 or more; given 0"),
        (["--address", "127.0.0.1:1"], "needs a DVC remote that all its machines reach"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    project: Path, arguments: list[str], message: str
) -> None:
    done = run(project, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (project.parent / "runs").exists()


@pytest.mark.parametrize("url", ["/dev/null/remote", "s3://no-such-bucket/remote"])
def test_a_remote_out_of_reach_is_refused_before_anything_runs(project: Path, url: str) -> None:
    dvc(project, "remote", "add", "--default", "store", url)
    done = run(project, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: the DVC remote store ({url}) cannot be reached: ")
    assert not (project.parent / "runs").exists()


def test_a_cluster_that_is_not_there_is_refused(project: Path, tmp_path: Path) -> None:
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    done = run(project, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: no Ray cluster at 127.0.0.1:1: ")


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Start a Ray cluster of two nodes, each with a cache of its own."""
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    made = Cluster()
    for number in (1, 2):
        made.add_node(num_cpus=2, env_vars={"DVC_CLUSTER_CACHE": str(tmp_path / f"cache{number}")})
    yield made
    made.shutdown()  # type: ignore[no-untyped-call]


def test_two_machines_share_results_through_the_remote(
    project: Path, expected: Path, machines: Any, tmp_path: Path
) -> None:
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    done = run(project, "--address", machines.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert same(project, expected)
    assert runs(project) == ["x", "y", "z"]
    assert all(any((tmp_path / f"cache{n}").rglob("*")) for n in (1, 2))
    shutil.rmtree(project / ".dvc/cache")
    for name in ("dvc.lock", "join", "left", "right", "metrics.json"):
        (project / name).unlink()
    again = run(project, "--address", machines.address)  # everything is in the remote
    assert again.returncode == 0, again.stdout + again.stderr
    assert same(project, expected)
    assert runs(project) == ["x", "y", "z"]


def test_a_machine_with_another_version_is_refused(
    project: Path, machines: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other/dvc-3.0.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: dvc\nVersion: 3.0.0\n")
    machines.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(other.parent)})
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    done = run(project, "--address", machines.address)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert re.fullmatch(rf"error: dvc is 3.0.0 on \S+ and {metadata.version('dvc')} here", line)
    assert not (tmp_path / "runs").exists()


def test_a_remote_that_is_gone_in_the_middle_is_said_so(
    project: Path, machines: Any, tmp_path: Path
) -> None:
    edit(project, SLOW)
    remote = tmp_path / "remote"
    dvc(project, "remote", "add", "--default", "store", str(remote))
    with begin(project, "--address", machines.address) as driver:
        _, stage, _ = started(project)
        remote.rename(tmp_path / "gone")
        remote.touch()
        os.kill(stage, signal.SIGUSR1)
        printed, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "Traceback" not in errors
    assert "  failed   slow" in printed
    assert "FileExistsError" in errors or "NotADirectoryError" in errors
    remote.unlink()
    (tmp_path / "gone").rename(remote)
    (tmp_path / "runs.again").touch()
    assert run(project, "--address", machines.address).returncode == 0
    assert runs(project).count("quick") == 1


def edit(project: Path, pipeline: str) -> None:
    """Replace a project's pipeline."""
    (project / "dvc.yaml").write_text(pipeline)


SLOW = """
stages:
  quick:
    cmd: echo quick >> $RUNS; echo quick > quick
    deps: [input.txt]
    outs: [quick]
  slow:
    cmd: >-
      echo slow >> $RUNS; echo $PPID $$ >> $RUNS.processes;
      trap : USR1; test -e $RUNS.again ||
      { sleep 600 & echo $! >> $RUNS.processes; wait; kill $!; }; echo slow > slow
    deps: [quick]
    outs: [slow]
"""


def started(project: Path) -> tuple[int, int, int]:
    """Wait for the stage `slow`; return the processes of Ray's worker, the stage and its child."""
    path = project.parent / "runs.processes"
    until(lambda: path.exists() and len(path.read_text().split()) == 3)
    worker, stage, child = map(int, path.read_text().split())
    return worker, stage, child


def test_a_worker_that_is_killed_costs_its_stage_another_try(project: Path) -> None:
    edit(project, SLOW)
    with begin(project, "--jobs", "2") as driver:
        worker, stage, child = started(project)
        (project.parent / "runs.again").touch()
        os.kill(worker, signal.SIGKILL)
        printed, errors = driver.communicate(timeout=60)
    assert driver.returncode == 0, errors
    assert runs(project) == ["quick", "slow", "slow"]
    assert printed.count("  done ") == 2
    assert not alive(stage)
    assert not alive(child)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_done_when_the_driver_was_killed_is_not_done_again(
    project: Path, how: signal.Signals
) -> None:
    edit(project, SLOW)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with begin(project, "--jobs", "2") as driver:
        _, stage, child = started(project)
        driver.send_signal(how)
        _, errors = driver.communicate(timeout=60)
    assert how == signal.SIGKILL or errors == (
        "error: interrupted; stages that were done are not run again\n"
    )
    until(lambda: not alive(stage) and not alive(child))
    (project.parent / "runs.again").touch()
    again = run(project, "--jobs", "2")
    assert again.returncode == 0, again.stderr
    assert runs(project) == ["quick", "slow", "slow"]
    assert "cached   quick" in again.stdout
    assert (project / "slow").read_text() == "slow\n"


def test_the_progress_says_what_waits_what_runs_where_and_what_is_left(project: Path) -> None:
    edit(project, SLOW)
    (project.parent / "runs.again").touch()
    lines = [line.split() for line in run(project, "--jobs", "1").stdout.splitlines()]
    ran = [line for line in lines if line[-1:] == [platform.node()] or "queued" in line]
    assert [line[2] for line in ran[:2]] == ["0/2", "0/2"]
    assert [" ".join(line[-4:][:2]) for line in ran if "running" in line] == [
        "running quick",
        "running slow",
    ]
    (quick, slow) = (line for line in ran if "done" in line)
    assert quick[2:7] == [quick[2], "left", "1/2", "done", "quick"]
    assert slow[2:7] == ["00:00", "left", "2/2", "done", "slow"]


NESTED = """
stages:
  inner:
    cmd: cat ../data.txt > made.txt && mkdir -p ../notes && echo "$NOTE" > ../notes/inner
    deps: [../data.txt]
    outs: [made.txt]
    meta:
      ray: {num_cpus: 0.5, keep: [notes, no-such-file]}
"""
OUTER = """
stages:
  outer:
    cmd: cat sub/made.txt sub/made.txt > outer.txt
    deps: [sub/made.txt]
    outs: [outer.txt]
  closing:
    cmd: wc -l < outer.txt > lines.txt
    deps: [outer.txt]
    outs:
      - lines.txt:
          cache: false
"""


def test_data_that_dvc_add_tracks_and_a_pipeline_in_a_folder(project: Path, tmp_path: Path) -> None:
    edit(project, OUTER)
    (project / "sub").mkdir()
    (project / "sub/dvc.yaml").write_text(NESTED)
    (project / "data.txt").write_text("data\n")
    dvc(project, "add", "data.txt")
    plain = tmp_path / "plain"
    shutil.copytree(project, plain)
    dvc(plain, "repro", NOTE="one by one")
    done = run(project, "--jobs", "2", NOTE="side by side")
    assert done.returncode == 0, done.stderr
    for name in ("dvc.lock", "sub/dvc.lock", "outer.txt", "lines.txt", "sub/.gitignore"):
        assert (project / name).read_bytes() == (plain / name).read_bytes()
    assert (project / "notes/inner").read_text() == "side by side\n"
    assert "closing" not in done.stdout.partition("Running stage")[0]


def test_what_meta_cannot_say_is_refused(project: Path) -> None:
    edit(project, SLOW + "    meta:\n      ray: {gpus: 1}\n")
    done = run(project, "--jobs", "2")
    assert done.returncode == 1
    assert done.stderr == (
        "error: dvc.yaml: slow: meta.ray: should be `local` or have num_cpus, num_gpus, memory,"
        " resources, max_retries, keep; given {'gpus': 1}\n"
    )


def test_a_result_that_is_lost_is_left_to_dvc_repro(
    project: Path, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    entries = YAML(typ="safe").load(expected / "dvc.lock")["stages"]
    shutil.copytree(expected / ".dvc/cache", project / ".dvc/cache")
    lost = entries["fan@y"]["outs"][0]["md5"]
    (project / ".dvc/cache/files/md5" / lost[:2] / lost[2:]).unlink()
    assert results.restore(project, entries, pull=False) == ["fan@y"]
    assert not (project / "y").exists()
    assert "fan@y" not in YAML(typ="safe").load(project / "dvc.lock")["stages"]
    dvc(project, "repro", RUNS=str(project.parent / "runs"))
    assert runs(project) == ["y"]
    assert YAML(typ="safe").load(project / "dvc.lock")["stages"] == entries
