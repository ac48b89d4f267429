"""A DVC that was killed while it wrote its notes, or dvc.lock."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.lock import make_lock
from ruamel.yaml import YAML

from tools import recover
from vanishing.pipeline.guard import DVC_NOTES
from vanishing.pipeline.lock import LOCK


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a DVC repository with one stage, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)
    Path("dvc.yaml").write_text("stages: {one: {cmd: touch out, outs: [out]}}\n")
    return tmp_path


def repro() -> int:
    """Run `dvc repro`; return its exit status."""
    return subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], check=False).returncode


def entries(text: bytes) -> dict[str, Any]:
    """Return what a dvc.lock says, by stage."""
    found: dict[str, Any] = YAML(typ="safe").load(text).get("stages", {})
    return found


@pytest.mark.parametrize("content", [b"", b'{"write": {"a', b"\xff\0"])
def test_notes_that_were_cut_off_no_longer_stop_dvc(repository: Path, content: bytes) -> None:
    DVC_NOTES.parent.mkdir(parents=True, exist_ok=True)
    DVC_NOTES.write_bytes(content)
    assert repro() != 0
    recover.main([])
    assert repro() == 0
    assert (repository / "out").exists()


@pytest.mark.usefixtures("repository")
def test_whole_notes_and_none_are_left_alone() -> None:
    recover.main([])
    DVC_NOTES.parent.mkdir(parents=True, exist_ok=True)
    DVC_NOTES.write_text('{"write": {}, "read": {}}')
    recover.main([])
    assert DVC_NOTES.read_text() == '{"write": {}, "read": {}}'


THREE = """
stages:
  one: {cmd: echo 1 >> ran-1 && echo 1 > out-1, deps: [in], outs: [out-1]}
  two: {cmd: echo 2 >> ran-2 && echo 2 > out-2, deps: [in], outs: [out-2]}
  three: {cmd: echo 3 >> ran-3 && echo 3 > out-3, deps: [in], outs: [out-3]}
"""


@pytest.fixture
def finished(repository: Path) -> bytes:
    """Give a repository of three stages that have run, and its dvc.lock."""
    (repository / "in").touch()
    (repository / "dvc.yaml").write_text(THREE)
    assert repro() == 0
    return LOCK.read_bytes()


def test_wherever_dvc_lock_was_cut_off_whole_stages_are_kept(finished: bytes) -> None:
    before = entries(finished)
    starts = [match.start() for match in re.finditer(rb"(?m)^  \S", finished)]
    assert len(starts) == len(before) == 3
    for length in range(len(finished)):
        LOCK.write_bytes(finished[:length])
        recover.main([])
        after = entries(LOCK.read_bytes()) or {} if LOCK.exists() else {}
        whole = [name for name, end in zip(before, starts[1:], strict=False) if end <= length]
        assert {name: after[name] for name in whole} == {name: before[name] for name in whole}
        assert len(after) <= len(whole) + 1  # cut off after a line, it still says something
        assert not LOCK.exists() or recover.whole(LOCK.read_bytes())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.3, 0.5, 0.9])
def test_after_that_everything_is_restored_and_nothing_runs_again(
    finished: bytes, share: float
) -> None:
    LOCK.write_bytes(finished[: int(share * len(finished))])
    recover.main([])
    assert repro() == 0
    assert entries(LOCK.read_bytes()) == entries(finished)
    assert [Path(f"ran-{n}").read_text() for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]


@pytest.mark.parametrize("change", [(b"  two:", b"<<<<<<< ours\n  two:"), (b"cmd", b"kmd")])
def test_what_was_not_cut_off_is_left_to_its_author(
    finished: bytes, change: tuple[bytes, bytes]
) -> None:
    damaged = finished.replace(*change)
    LOCK.write_bytes(damaged)
    recover.main([])
    assert LOCK.read_bytes() == damaged


def test_what_another_dvc_is_writing_is_left_alone(finished: bytes) -> None:
    LOCK.write_bytes(finished[: len(finished) // 2 + 3])
    cut = LOCK.read_bytes()
    assert not recover.whole(cut)
    with make_lock(str(DVC_NOTES.with_name("lock")), tmp_dir=str(DVC_NOTES.parent)):
        recover.main([])
    assert LOCK.read_bytes() == cut
