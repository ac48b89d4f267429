"""Files that a DVC left when it was killed while it wrote its notes, or dvc.lock."""

import json
import os
import re
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from dvc.cli import main as dvc
from dvc.lock import make_lock
from ruamel.yaml import YAML

from tools import recover
from vanishing.errors import StudyError
from vanishing.paths import LOCK
from vanishing.pipeline.lifetime import DVC_NOTES

STUDY = Path("studies/one")
PIPELINE = """
stages:
  one: {cmd: echo 1 >> ran-1 && echo 1 > out-1, deps: [in], outs: [out-1]}
  two: {cmd: echo 2 >> ran-2 && echo 2 > out-2, deps: [in], outs: [out-2]}
  three: {cmd: echo 3 >> ran-3 && echo 3 > out-3, deps: [in], outs: [out-3]}
"""


def repro() -> int:
    """Run `dvc repro` in the working directory; return its exit status."""
    return int(dvc(["repro", "-q"]))


def entries(content: bytes) -> dict[str, Any]:
    """Return the entries of a dvc.lock, by stage."""
    stages: dict[str, Any] = YAML(typ="safe").load(content).get("stages", {})
    return stages


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a repository of two studies whose three stages have run; for reading only."""
    folder = tmp_path_factory.mktemp("reproduced")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    for study in (folder, folder / STUDY):
        study.mkdir(parents=True, exist_ok=True)
        (study / "in").touch()
        (study / "dvc.yaml").write_text(PIPELINE)
        with chdir(study):
            assert repro() == 0
    return folder


@pytest.fixture
def repository(reproduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of that repository, as the working directory."""
    shutil.copytree(reproduced, tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("folder", [Path(), STUDY])
@pytest.mark.parametrize("content", [b"", b'{"write": {"a', b"\xff\0"])
def test_notes_that_were_cut_off_no_longer_stop_dvc(folder: Path, content: bytes) -> None:
    DVC_NOTES.write_bytes(content)
    Path("in").write_text("another")
    assert repro() != 0
    with chdir(folder):
        recover.main([])
    assert repro() == 0


def test_notes_of_a_process_whose_number_another_has_no_longer_stop_dvc(repository: Path) -> None:
    write = {str(repository / "out-1"): {"pid": os.getppid(), "cmd": "dvc repro"}}
    DVC_NOTES.write_text(json.dumps({"write": write, "read": {}}))
    Path("in").write_text("another")
    recover.main([])
    assert repro() != 0  # this process could have written them
    os.utime(DVC_NOTES, (0, 0))
    recover.main([])
    assert repro() == 0


@pytest.mark.usefixtures("repository")
def test_valid_and_missing_notes_are_left_alone() -> None:
    DVC_NOTES.write_text('{"write": {}, "read": {}}')
    recover.main([])
    assert DVC_NOTES.read_text() == '{"write": {}, "read": {}}'
    DVC_NOTES.unlink()
    recover.main([])
    assert not DVC_NOTES.exists()


def test_wherever_dvc_lock_was_cut_off_its_complete_stages_are_kept(repository: Path) -> None:
    content = LOCK.read_bytes()
    before = entries(content)
    starts = [match.start() for match in re.finditer(rb"(?m)^  \S", content)]
    assert len(starts) == len(before) == 3
    for length in [*range(0, len(content), 4), *starts]:
        LOCK.write_bytes(content[:length])
        recover.repair_lock(LOCK)
        after = entries(LOCK.read_bytes()) or {} if LOCK.exists() else {}
        complete = [name for name, end in zip(before, starts[1:], strict=False) if end <= length]
        assert {name: after[name] for name in complete} == {name: before[name] for name in complete}
        assert len(after) <= len(complete) + 1  # a stage cut off after a line is valid YAML
        assert not LOCK.exists() or recover.is_valid_lock(LOCK.read_bytes())
    assert (repository / STUDY / LOCK).read_bytes() == content


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.3, 0.5, 0.9])
def test_after_that_everything_is_restored_and_nothing_runs_again(share: float) -> None:
    content = LOCK.read_bytes()
    LOCK.write_bytes(content[: int(share * len(content))])
    recover.main([])
    assert repro() == 0
    assert entries(LOCK.read_bytes()) == entries(content)
    assert [Path(f"ran-{n}").read_text() for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]


def test_the_lock_of_one_study_no_longer_stops_another(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = STUDY / LOCK
    content = lock.read_bytes()
    cut = content[: content.rindex(b"outs") + 2]
    lock.write_bytes(cut)
    assert repro() != 0
    recover.main([])
    assert capsys.readouterr().out.startswith(f"{lock}: was cut off when a DVC was killed")
    assert repro() == 0
    assert list(entries(lock.read_bytes()))[:2] == list(entries(content))[:2]
    lock.write_bytes(cut)
    with chdir(repository / STUDY):
        recover.main([])
    assert repro() == 0


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("change", [(b"  two:", b"<<<<<<< ours\n  two:"), (b"cmd", b"kmd")])
def test_other_damage_is_left_to_its_author(change: tuple[bytes, bytes]) -> None:
    damaged = LOCK.read_bytes().replace(*change)
    LOCK.write_bytes(damaged)
    recover.main([])
    assert LOCK.read_bytes() == damaged


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_a_file_that_another_dvc_is_writing_is_left_alone() -> None:
    content = LOCK.read_bytes()
    cut = content[: len(content) // 2 + 3]
    assert not recover.is_valid_lock(cut)
    LOCK.write_bytes(cut)
    with make_lock(str(DVC_NOTES.with_name("lock")), tmp_dir=str(DVC_NOTES.parent)):
        recover.main([])
    assert LOCK.read_bytes() == cut


def test_a_folder_without_a_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="no DVC repository here or above"):
        recover.main([])
