"""Stages on a Ray cluster of two nodes, which share results through a DVC remote."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ray.cluster_utils import Cluster
from ruamel.yaml import YAML

from tests.cluster import toy
from tests.cluster.toy import begin, run, runs, states
from tests.support.dvc_repository import set_remote
from tests.support.processes import until
from tests.support.s3_server import KEYS, Bucket

pytestmark = pytest.mark.slow  # each run starts Ray's workers


class Machines(NamedTuple):
    """A Ray cluster, and the cache folder of each node."""

    cluster: Any
    caches: list[Path]

    @property
    def options(self) -> list[str]:
        """The command's options to run on the cluster."""
        return ["--address", self.cluster.address, "--env", "RUNS"]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Start two nodes; each stage has a remote and a `$RUNS` of its test."""
    caches = [tmp_path_factory.mktemp("cache") for _ in range(2)]
    cluster = Cluster()
    for cache in caches:
        cluster.add_node(num_cpus=1, env_vars={"DVC_CLUSTER_CACHE": str(cache)})
    yield Machines(cluster, caches)
    cluster.shutdown()  # type: ignore[no-untyped-call]


def test_two_machines_share_results_through_the_remote(
    project: Path, expected: Path, machines: Machines, bucket: Bucket
) -> None:
    set_remote(project, bucket.settings | KEYS, "local")  # machines have no keys otherwise
    done = run(project, *machines.options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert toy.same_results(project, expected)
    assert runs(project) == ["x", "y"]
    stages = YAML(typ="safe").load(expected / "dvc.lock")["stages"]
    prepared = stages["prepare"]["outs"][0]["md5"]
    folder = Path("files/md5", prepared[:2], prepared[2:])
    assert all((cache / folder).exists() for cache in machines.caches)

    shutil.rmtree(project / ".dvc/cache")
    for name in ("dvc.lock", "join", "x", "metrics.json"):
        (project / name).unlink()
    again = run(project, *machines.options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert toy.same_results(project, expected)
    assert runs(project) == ["x", "y"]
    assert {stage_states[-1] for stage_states in states(again.stdout).values()} == {"cached"}


def test_a_lost_remote_fails_the_stage_in_a_line(
    project: Path, machines: Machines, tmp_path: Path
) -> None:
    (project / "dvc.yaml").write_text(toy.SLOW)
    remote = tmp_path / "remote"
    set_remote(project, {"url": str(remote)}, "local")
    notes = project.parent / "runs.processes"
    with begin(project, *machines.options) as driver:
        until(lambda: notes.exists() and len(notes.read_text().split()) == 3)
        remote.rename(tmp_path / "elsewhere")
        remote.touch()
        os.kill(int(notes.read_text().split()[1]), signal.SIGUSR1)
        printed, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "Traceback" not in errors
    assert states(printed)["slow"][-1] == "failed"
    assert "FileExistsError" in errors or "NotADirectoryError" in errors

    remote.unlink()
    (tmp_path / "elsewhere").rename(remote)
    (project.parent / "runs.again").touch()
    again = run(project, *machines.options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert runs(project).count("quick") == 1


def test_a_machine_with_another_version_is_refused(
    project: Path, machines: Machines, tmp_path: Path
) -> None:
    set_remote(project, {"url": str(tmp_path / "remote")}, "local")
    other = tmp_path / "other/dvc-3.0.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: dvc\nVersion: 3.0.0\n")
    node = machines.cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(other.parent)})
    try:
        done = run(project, *machines.options)
    finally:
        machines.cluster.remove_node(node)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert re.fullmatch(rf"error: dvc is 3.0.0 on \S+ and {metadata.version('dvc')} here", line)
    assert runs(project) == []
