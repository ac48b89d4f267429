"""The journal of a training run: a line of JSON for each thing that it reports while it runs.

The journal is no output of the stage: DVC does not know it, Git ignores it, and it may hold what
differs from run to run, as durations do. `tracking.live` reads it while it grows. `tracking.mirror`
takes from it what the results do not hold. A new training run of a variant and seed replaces it.
"""

import json
import math
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pydantic_core import to_json

from vanishing import paths
from vanishing.environment import LIVE_METRICS
from vanishing.errors import StudyError
from vanishing.files import sha256
from vanishing.tracking import viewer

if TYPE_CHECKING:
    from tqdm import tqdm

VIEWER_AFTER_S = 5.0  # by default; a training run that ends sooner does not wait for MLflow's start
PATIENCE_S = 5.0  # the longest that a finished training run waits for its viewer

Line = dict[str, Any]


class Journal:
    """Writes the journal of one training run, and starts the viewer that shows it in MLflow.

    The viewer alone speaks to MLflow: training never waits for a server, does not import MLflow,
    and does not fail with it.
    """

    def __init__(
        self, variant: str, seed: int, device: str, peak_memory_bytes: Callable[[], int]
    ) -> None:
        """Prepare the journal, without writing anything.

        Args:
            variant: Its name.
            seed: Of the training run.
            device: A description of it.
            peak_memory_bytes: Returns the most memory that was taken up to now.
        """
        self._path = paths.journal(variant, seed)
        self._variant, self._seed = variant, seed
        self._peak_memory_bytes = peak_memory_bytes
        self._started_s = time.monotonic()
        self._viewer_after_s = {"0": math.inf, "1": 0.0}.get(
            os.environ.get(LIVE_METRICS, ""), VIEWER_AFTER_S
        )
        self._viewer: subprocess.Popen[bytes] | None = None
        self._start = {
            "kind": "start",
            "variant": variant,
            "seed": seed,
            "training": uuid.uuid4().hex,
            "device": device,
            "host": platform.node(),
            "time": time.time(),
        }

    def __enter__(self) -> "Journal":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self.write(self._start)
        return self

    def write(self, line: Line) -> None:
        """Append a line; JSON has no NaN and infinities, which become "NaN" and "Infinity".

        Raises:
            StudyError: If the disk is full, or the file cannot be written for another reason.
        """
        try:
            with self._path.open("ab") as file:
                file.write(to_json(line, inf_nan_mode="strings") + b"\n")
        except OSError as error:
            raise StudyError(f"{self._path}: cannot be written: {error.strerror}") from error
        due = time.monotonic() - self._started_s >= self._viewer_after_s
        if due and self._viewer is None and line["kind"] not in {"end", "failed"}:
            self._viewer = viewer.start(self._variant, self._seed)

    def resume(self, epoch: int, elapsed_s: float) -> None:
        """Report that an interrupted training is resumed.

        Args:
            epoch: The last epoch that was completed.
            elapsed_s: The time that training took up to there, which counts.
        """
        self._started_s -= elapsed_s
        self.write({"kind": "resumed", "epoch": epoch, "elapsed_s": elapsed_s})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.write(
                {
                    "kind": "end",
                    "time": time.time(),
                    "duration_s": time.monotonic() - self._started_s,
                    "peak_memory_bytes": self._peak_memory_bytes(),
                    "history": digest(self._variant, self._seed),
                }
            )
        else:
            with suppress(StudyError):  # a full disk may be the reason
                self.write({"kind": "failed", "reason": f"{kind.__name__}: {error}"})
        if self._viewer is not None:
            self._wait_for(self._viewer)

    def _wait_for(self, process: "subprocess.Popen[bytes]") -> None:
        """Tell the viewer that the journal is complete, and wait for it, but not for long."""
        assert process.stdin is not None  # noqa: S101 - viewer.start asks for it
        process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(
                f"warning: {self._variant} seed {self._seed}: MLflow did not take all live metrics"
                f" within {PATIENCE_S:g} s after training; `make track` completes the run",
                file=sys.stderr,
            )


class Reporter:
    """Reports the progress of a training run: to a bar on the terminal and to the journal."""

    def __init__(self, journal: Journal, bar: "tqdm[Any]") -> None:
        self._journal = journal
        self._bar = bar

    def step(self) -> None:
        """Report that one more step is done."""
        self._bar.update(1)

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Report a traced step: its rows of trace.parquet, and the loss of its batch."""
        self._bar.set_postfix_str(f"loss {loss:.4f}")
        self._journal.write({"kind": "trace", "rows": rows, "loss": loss})

    def epoch(self, row: dict[str, Any]) -> None:
        """Report that an epoch is over: its row of history.parquet."""
        self._journal.write({"kind": "epoch", "row": row})


class TrainingRun(NamedTuple):
    """What the journal of a finished training run holds beyond its results.

    Attributes:
        training: Tells this training run from all others.
        device: On which it ran.
        host: On which it ran.
        started: When, in seconds since 1970; a training that was interrupted, when it was resumed.
        ended: When, likewise.
        duration_s: How long it took, without the time between an interruption and its resumption.
        peak_memory_bytes: The most memory that it took.
    """

    training: str
    device: str
    host: str
    started: float
    ended: float
    duration_s: float
    peak_memory_bytes: int


def of_results(variant: str, seed: int) -> TrainingRun | None:
    """Read the journal of the training run that wrote the results.

    Returns:
        What it holds; None if there is no journal, or it is the journal of other results, or of a
        version of this project that noted no times.
    """
    lines = read(variant, seed)
    if not lines:
        return None
    start, end = lines[0], lines[-1]
    if end["kind"] != "end" or end["history"] != digest(variant, seed) or "time" not in end:
        return None
    from_start = (start["training"], start["device"], start["host"], start["time"])
    from_end = (end["time"], end["duration_s"], end["peak_memory_bytes"])
    return TrainingRun(*from_start, *from_end)


def read(variant: str, seed: int) -> list[Line]:
    """Return the lines of a journal; none where there is no journal."""
    try:
        with paths.journal(variant, seed).open("rb") as file:
            return read_on(file)
    except FileNotFoundError:
        return []


def read_on(file: BinaryIO) -> list[Line]:
    """Read a journal on from the file's position, and leave the position after what was read.

    Returns:
        The lines; the last one is left for later while it is not whole.
    """
    position = file.tell()
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    file.seek(position + len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def digest(variant: str, seed: int) -> str:
    """Return the SHA-256 of history.parquet, which ties a journal to its results."""
    return sha256(paths.table("history", variant, seed))
