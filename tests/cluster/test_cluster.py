"""Stages side by side with a real Ray, on a dvc.yaml with a diamond, a matrix and a folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ray.cluster_utils import Cluster

from tests.tiny import ROOT

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


def git(folder: Path, *arguments: str) -> None:
    """Run git as nobody in particular."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def dvc(folder: Path, *arguments: str, **variables: str) -> None:
    """Run DVC."""
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the pipeline as plain `dvc repro` leaves it, without its cache."""
    folder = tmp_path_factory.mktemp("plain")
    git(folder, "init", "-q")
    dvc(folder, "init", "-q")
    dvc(folder, "config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "input.txt").write_text("hello\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "pipeline")
    dvc(folder, "repro", RUNS=os.devnull)
    return folder


@pytest.fixture
def project(expected: Path, tmp_path: Path) -> Path:
    """Give a fresh clone of the pipeline, with an edit that Git does not have."""
    folder = tmp_path / "project"
    git(tmp_path, "clone", "-q", str(expected), str(folder))
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m cluster` in a project; stages say in a file that they ran."""
    return subprocess.run(
        [sys.executable, "-m", "cluster", *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RUNS": str(folder.parent / "runs")},
    )


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


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Start a Ray cluster of two nodes, each with a cache of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    made.add_node(num_cpus=2)
    yield made
    made.shutdown()  # type: ignore[no-untyped-call]


def test_two_machines_share_results_through_the_remote(
    project: Path, expected: Path, cluster: Any, tmp_path: Path
) -> None:
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    done = run(project, "--address", cluster.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert same(project, expected)
    assert runs(project) == ["x", "y", "z"]
    shutil.rmtree(project / ".dvc/cache")
    for name in ("dvc.lock", "join", "left", "right", "metrics.json"):
        (project / name).unlink()
    again = run(project, "--address", cluster.address)  # everything is in the remote
    assert again.returncode == 0, again.stdout + again.stderr
    assert same(project, expected)
    assert runs(project) == ["x", "y", "z"]
