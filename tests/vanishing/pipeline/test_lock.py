"""dvc.lock is read, and its outputs are compared with the files."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from vanishing.errors import StudyError
from vanishing.pipeline import lock

SIZES = {
    "train@relu-1": {"models/relu/seed-1": 3, "data/training/relu/seed-1": 5},
    "extract@relu-1": {"data/statistics/relu/seed-1": 7},
    "initialise@relu": {"data/initialisation/relu": 2},
    "diagnose": {"reports/metrics.json": 4},
    "render": {"reports/figures": 6},
    "report": {"reports/README.md": 1},
}


@pytest.fixture(autouse=True)
def _outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write dvc.lock and the outputs that it records into the working directory."""
    monkeypatch.chdir(tmp_path)
    stages: dict[str, dict[str, Any]] = {}
    for stage, outs in SIZES.items():
        stages[stage] = {"cmd": stage, "deps": [], "outs": []}
        for name, size in outs.items():
            path = Path(name)
            file = path if path.suffix else path / "inner" / "file"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"." * size)
            out = {"path": name, "size": size, "md5": lock.output_digest(path)}
            stages[stage]["outs"].append(out)
    statistics = "data/statistics/relu/seed-1"
    stages["diagnose"]["deps"] = [
        {"path": statistics, "md5": lock.output_digest(Path(statistics))},
        {"path": "data/fingerprints/diagnose", "md5": "0"},
        {"path": "../../vanishing", "md5": "0"},
        {"path": "data/missing", "md5": "0"},
    ]
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))


def test_results_have_the_entries_of_the_stages_that_wrote_them() -> None:
    read = lock.read()
    assert list(read.of_run("relu", 1)) == ["train@relu-1", "extract@relu-1"]
    assert list(read.of_variant("relu")) == ["initialise@relu"]
    assert list(read.of_report()) == ["diagnose", "render", "report"]
    assert read.of_variant("relu")["initialise@relu"]["cmd"] == "initialise@relu"


def test_an_output_with_another_content_of_the_same_size_is_refused() -> None:
    Path("reports/README.md").write_text("!")
    with pytest.raises(StudyError, match=r"^reports/README\.md: differs from what dvc\.lock"):
        lock.read().of_report()


def test_weights_may_be_missing_but_no_table_may() -> None:
    Path("models/relu/seed-1/inner/file").unlink()
    with pytest.raises(StudyError, match=r"^models/relu/seed-1: differs"):
        lock.read().of_run("relu", 1)
    Path("models/relu/seed-1/inner").rmdir()
    Path("models/relu/seed-1").rmdir()
    assert lock.read().of_run("relu", 1)
    Path("data/training/relu/seed-1/inner/file").unlink()
    with pytest.raises(StudyError, match=r"^data/training/relu/seed-1: differs"):
        lock.read().of_run("relu", 1)


def test_a_report_of_other_results_is_refused() -> None:
    assert lock.read().of_report()
    Path("data/statistics/relu/seed-1/inner/file").write_bytes(b"!" * 7)
    with pytest.raises(StudyError, match=r"^data/statistics/relu/seed-1: is not what `diagnose`"):
        lock.read().of_report()


def test_other_weights_are_refused() -> None:
    lock.read().check_weights()
    Path("models/relu/seed-1/inner/file").write_bytes(b"!" * 3)
    assert lock.read().of_run("relu", 1)
    with pytest.raises(StudyError, match=r"^models/relu/seed-1: differs"):
        lock.read().check_weights()


@pytest.mark.slow
def test_digests_are_those_of_dvc(repository: Path) -> None:
    entries = YAML(typ="safe").load(repository / "dvc.lock")["stages"]
    outs = [out for entry in entries.values() for out in entry["outs"]]
    assert len(outs) > 20
    for out in outs:
        assert lock.output_digest(repository / out["path"]) == out["md5"], out["path"]


def test_a_stage_that_was_never_run_is_named() -> None:
    with pytest.raises(StudyError, match=r"^dvc\.lock: has no stage train@relu-2; run: make repro"):
        lock.read().of_run("relu", 2)


@pytest.mark.parametrize("content", ["", "stages: [", "schema: '2.0'"])
def test_a_damaged_dvc_lock_is_refused(content: str) -> None:
    Path("dvc.lock").write_text(content)
    with pytest.raises(StudyError, match=r"^dvc\.lock: cannot be read"):
        lock.read()


def test_a_missing_dvc_lock_is_refused() -> None:
    Path("dvc.lock").unlink()
    with pytest.raises(StudyError, match=r"^dvc\.lock: missing; run: make repro"):
        lock.read()
