"""Results that go from the cache into the workspace."""

import shutil
from pathlib import Path

from ruamel.yaml import YAML

from cluster import results
from tests.cluster.toy import dvc, runs


def test_a_lost_result_is_left_to_dvc_repro(project: Path, expected: Path) -> None:
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
