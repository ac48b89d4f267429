"""The journal of a training run that cannot be written."""

import resource
from pathlib import Path

import pytest

from vanishing import paths
from vanishing.errors import StudyError
from vanishing.tracking import journal
from vanishing.tracking.journal import Journal


def test_a_full_disk_is_said_in_one_line(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(journal.SWITCH, "0")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with Journal("relu", 0, "cpu", lambda: 0) as opened:
            # No file may be larger: what a full disk does to it.
            size = (workspace / paths.journal("relu", 0)).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            opened.write({"kind": "epoch", "seed": 0, "row": {}})

    try:
        with pytest.raises(StudyError, match=r"journals/relu-seed-0\.jsonl: cannot be written: "):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [line["kind"] for line in journal.read("relu", 0)] == ["start"]
