"""What a training run says while it runs: a line of JSON each time, beside the results.

The journal is no output of the stage: DVC does not know it, Git ignores it, and it may hold what
differs from run to run, as durations do. `vanishing.tracking.live` reads it while it grows and
shows it in MLflow; `stages.track` takes from it what the results cannot tell. A new run begins a
new one.
"""

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from vanishing.errors import StudyError
from vanishing.results.run import history_path

if TYPE_CHECKING:
    from tqdm import tqdm

FOLDER = Path(".study/journals")
SWITCH = "LIVE_METRICS"  # in the environment, 0: nothing is shown live; 1: from the start
VIEWER_AFTER_S = 5.0  # else from here on: what ends sooner would wait for MLflow's start alone
PATIENCE_S = 5.0  # the longest that a finished run waits for its last metrics to be shown

Line = dict[str, Any]


def path(variant: str) -> Path:
    """Return the path of a variant's journal."""
    return FOLDER / f"{variant}.jsonl"


class Journal:
    """Writes the journal of one run, with a process beside it that shows it in MLflow.

    The process is the only one that speaks to MLflow: training never waits for a server, and pays
    neither for importing MLflow nor for what goes wrong with it.
    """

    def __init__(
        self,
        variant: str,
        seeds: tuple[int, ...],
        device: str,
        peak_memory_bytes: Callable[[], int],
    ) -> None:
        self._variant = variant
        self._peak_memory_bytes = peak_memory_bytes
        self._begun_s = time.monotonic()
        self._viewer_after_s = {"0": math.inf, "1": 0.0}.get(
            os.environ.get(SWITCH, ""), VIEWER_AFTER_S
        )
        self._viewer: subprocess.Popen[bytes] | None = None
        self._line = {
            "kind": "start",
            "variant": variant,
            "token": uuid.uuid4().hex,
            "seeds": list(seeds),
            "device": device,
            "host": platform.node(),
        }

    def __enter__(self) -> "Journal":
        path(self._variant).parent.mkdir(parents=True, exist_ok=True)
        path(self._variant).unlink(missing_ok=True)
        self.write(self._line)
        return self

    def write(self, line: Line) -> None:
        """Append a line; NaN and infinities, which JSON has not, as "NaN" and "Infinity".

        Raises:
            StudyError: If the disk is full, or the file cannot be written for another reason.
        """
        try:
            with path(self._variant).open("ab") as file:
                file.write(to_json(line, inf_nan_mode="strings") + b"\n")
        except OSError as error:
            raise StudyError(
                f"{path(self._variant)}: cannot be written: {error.strerror}"
            ) from error
        due = time.monotonic() - self._begun_s >= self._viewer_after_s
        if due and self._viewer is None and line["kind"] not in {"end", "failed"}:
            self._show()

    def resume(self, epoch: int, elapsed_s: float) -> None:
        """A training goes on that was cut off after an epoch; the time up to there counts."""
        self._begun_s -= elapsed_s
        self.write({"kind": "resumed", "epoch": epoch, "elapsed_s": elapsed_s})

    def _show(self) -> None:
        command = [sys.executable, "-m", "vanishing.tracking.live", self._variant]
        self._viewer = subprocess.Popen(  # noqa: S603 - a variant that params.yaml has
            command,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for training; the viewer then closes the run
        )

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
                    "duration_s": time.monotonic() - self._begun_s,
                    "peak_memory_bytes": self._peak_memory_bytes(),
                    "history": digest(self._variant),
                }
            )
        else:
            with suppress(StudyError):  # as when the disk is full, which is the reason then
                self.write({"kind": "failed", "reason": f"{kind.__name__}: {error}"})
        if self._viewer is not None:
            assert self._viewer.stdin is not None  # noqa: S101 - asked for above
            self._viewer.stdin.close()  # the viewer's sign that the journal is complete
            try:
                self._viewer.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._viewer.kill()
                self._viewer.wait()
                print(
                    f"warning: {self._variant}: MLflow was not done with the live metrics"
                    f" {PATIENCE_S:g} s after training; `make track` completes the run",
                    file=sys.stderr,
                )


class Reporter:
    """Tells the progress of one seed's training: to a bar on the terminal and to the journal."""

    def __init__(self, journal: Journal, seed: int, bar: "tqdm[Any]") -> None:
        self._journal = journal
        self._seed = seed
        self._bar = bar

    def step(self) -> None:
        """One more step is done."""
        self._bar.update(1)

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """The norms of a traced step, and its batch's loss, are known."""
        self._bar.set_postfix_str(f"loss {loss:.4f}")
        self._journal.write({"kind": "trace", "seed": self._seed, "rows": rows, "loss": loss})

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is over; `row` is its row of history.parquet."""
        self._journal.write({"kind": "epoch", "seed": self._seed, "row": row})


def read(variant: str) -> Iterator[Line]:
    """Yield the lines of a variant's journal that are whole; none where there is no journal."""
    try:
        with path(variant).open(encoding="utf-8") as file:
            for text in file:
                if text.endswith("\n"):
                    yield json.loads(text)
    except FileNotFoundError:
        return


def digest(variant: str) -> str:
    """Return a SHA-256 that ties a journal to the results that it is of."""
    return hashlib.sha256(history_path(variant).read_bytes()).hexdigest()
