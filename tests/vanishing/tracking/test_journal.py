"""The journal of a training run: written, read while it grows, tied to its results."""

import io
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from vanishing import paths
from vanishing.environment import LIVE_METRICS
from vanishing.errors import StudyError
from vanishing.files import write_text
from vanishing.tracking import journal
from vanishing.tracking.journal import Journal, Reporter

pytestmark = pytest.mark.usefixtures("workspace")


def open_journal() -> Journal:
    """Return the journal of a training run that takes 5 bytes."""
    return Journal("relu", 3, "abacus", lambda: 5)


def write_history(content: str) -> None:
    """Write a file in place of history.parquet."""
    write_text(paths.table("history", "relu", 3), content)


def test_a_journal_holds_the_progress_of_one_training_run_and_replaces_an_older_one() -> None:
    write_history("results")
    for loss in (0.5, float("nan")):
        with open_journal() as opened, tqdm(total=1, file=io.StringIO()) as bar:
            opened.resume(1, 100.0)
            reporter = Reporter(opened, bar)
            reporter.step()
            reporter.trace([{"step": 1, "value": 2.0}], loss)
            reporter.epoch({"epoch": 2, "train_loss": loss})
    start, resumed, trace, epoch, end = journal.read("relu", 3)
    assert {key: start[key] for key in ("kind", "variant", "seed", "device")} == {
        "kind": "start",
        "variant": "relu",
        "seed": 3,
        "device": "abacus",
    }
    assert resumed == {"kind": "resumed", "epoch": 1, "elapsed_s": 100.0}
    assert trace == {"kind": "trace", "rows": [{"step": 1, "value": 2.0}], "loss": "NaN"}
    assert epoch == {"kind": "epoch", "row": {"epoch": 2, "train_loss": "NaN"}}
    assert end["kind"] == "end"
    assert bar.n == 1


def test_a_journal_belongs_to_the_results_that_its_training_run_wrote() -> None:
    assert journal.of_results("relu", 3) is None
    write_history("results")
    with open_journal() as opened:
        opened.resume(1, 100.0)
        assert journal.of_results("relu", 3) is None  # it has not ended
    training_run = journal.of_results("relu", 3)
    assert training_run is not None
    assert training_run.training == journal.read("relu", 3)[0]["training"]
    assert (training_run.device, training_run.peak_memory_bytes) == ("abacus", 5)
    assert 100 <= training_run.duration_s < 110
    write_history("other results")
    assert journal.of_results("relu", 3) is None
    assert journal.of_results("relu", 4) is None


def test_the_reason_of_a_failure_is_written() -> None:
    def fail() -> None:
        with open_journal():
            raise ValueError("too deep")

    with pytest.raises(ValueError, match="too deep"):
        fail()
    assert journal.read("relu", 3)[-1] == {"kind": "failed", "reason": "ValueError: too deep"}


def test_lines_are_read_on_while_the_journal_grows() -> None:
    assert journal.read("relu", 3) == []
    path = paths.journal("relu", 3)
    write_text(path, '{"kind": "start"}\n{"kind": "tra')
    with path.open("rb") as file, path.open("a") as writer:
        assert journal.read_on(file) == [{"kind": "start"}]
        assert journal.read_on(file) == []
        writer.write('ce"}\n{"kind": "epoch"}\n')
        writer.flush()
        assert journal.read_on(file) == [{"kind": "trace"}, {"kind": "epoch"}]
        assert journal.read_on(file) == []


class FakeViewer:
    """Stands in for the viewer's process.

    Attributes:
        started: The variant and seed of each viewer.
    """

    def __init__(self, slow: bool) -> None:
        self.started: list[tuple[str, int]] = []
        self.killed = False
        self.stdin = self
        self._slow = slow

    def start(self, variant: str, seed: int) -> Any:
        """Stand in for viewer.start."""
        self.started.append((variant, seed))
        return self

    def close(self) -> None:
        """Close standard input."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait, in vain if this viewer is slow."""
        if self._slow and timeout_s is not None:
            raise subprocess.TimeoutExpired("viewer", timeout_s)

    def kill(self) -> None:
        """Note the kill."""
        self.killed = True


@pytest.mark.parametrize(
    ("switch", "after_s", "started"),
    [("0", 0.0, False), ("1", 60.0, True), ("", 0.0, True), ("", 60.0, False)],
)
def test_a_viewer_is_started_once_after_a_while_or_as_the_user_says(
    switch: str, after_s: float, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeViewer(slow=False)
    monkeypatch.setenv(LIVE_METRICS, switch)
    monkeypatch.setattr(journal, "VIEWER_AFTER_S", after_s)
    monkeypatch.setattr("vanishing.tracking.viewer.start", fake.start)
    write_history("results")
    with open_journal() as opened:
        opened.write({"kind": "epoch", "row": {}})
    assert fake.started == ([("relu", 3)] if started else [])


def test_a_slow_viewer_costs_little_patience_and_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeViewer(slow=True)
    monkeypatch.setenv(LIVE_METRICS, "1")
    monkeypatch.setattr("vanishing.tracking.viewer.start", fake.start)
    write_history("results")
    with open_journal():
        pass
    assert fake.killed
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: relu seed 3: MLflow did not take all live metrics within 5")
    assert warning.endswith("`make track` completes the run")


def test_a_full_disk_is_reported_in_one_line() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with open_journal() as opened:
            size = Path(paths.journal("relu", 3)).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # no file may be larger
            opened.write({"kind": "epoch", "row": {}})

    try:
        with pytest.raises(StudyError, match=r"journals/relu-seed-3\.jsonl: cannot be written: "):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [line["kind"] for line in journal.read("relu", 3)] == ["start"]
