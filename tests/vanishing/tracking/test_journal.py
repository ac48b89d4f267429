"""The journal of a training: what it does where it cannot be written."""

import resource
from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.tracking import journal
from vanishing.tracking.journal import Journal


def test_a_full_disk_is_said_in_one_line(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(journal.SWITCH, "0")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with Journal("relu", (0,), "cpu", lambda: 0) as begun:
            # No file may be larger: what a full disk does to it.
            size = (workspace / journal.path("relu")).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            begun.write({"kind": "epoch", "seed": 0, "row": {}})

    try:
        with pytest.raises(StudyError, match=r"journals/relu\.jsonl: cannot be written: "):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [line["kind"] for line in journal.read("relu")] == ["start"]
