"""`wandb.watch`, offline: histograms of gradients, taken in hooks of each backward pass."""

import importlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from benchmarks.watchers.watcher import Quantity, Records, Watcher

_HEADER, _BLOCK = 7, 2**15  # of a .wandb file, and of its parts: a log in LevelDB's format
_LAST = {1, 4}  # the kinds of parts that end a record
_BINS = ".bins"
_PATIENCE_S, _POLL_S = 30.0, 0.02


def begin_offline(folder: Path) -> Any:
    """Begin a run that sends nothing, with neither console nor system statistics."""
    import wandb  # noqa: PLC0415 - installed for the benchmarks alone

    settings = wandb.Settings(silent=True, x_disable_stats=True, console="off")
    return wandb.init(mode="offline", dir=str(folder), project="bench", settings=settings)


class WandbWatch(Watcher):
    """`run.watch(model)` and `run.log` once per step. A histogram's edges are its range."""

    quantity = Quantity("parameter", "range")

    def __enter__(self) -> "WandbWatch":
        self._run = begin_offline(self.folder)
        # Without `idx`, names begin with the number of models that the process has watched.
        self._run.watch(self.model, log="gradients", log_freq=self.every, idx=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run.unwatch(self.model)
        self._run.finish()

    def after_step(self, loss: Tensor) -> None:
        """Log the loss, by which the histograms of the step are logged too."""
        self._run.log({"loss": loss.item()})
        super().after_step(loss)

    def records(self) -> Records:
        """Read the first and the last edge of each histogram from the run's file."""
        (path,) = self.folder.glob("wandb/offline-run-*/*.wandb")
        return {step: dict(_ranges(row)) for step, row in enumerate(_history(path), start=1)}


def _history(path: Path) -> list[dict[str, str]]:
    """Return {key: JSON} of each `run.log`.

    Raises:
        RuntimeError: If the file has no end after some seconds; `finish` does not wait for it.
    """
    record_type = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        records = [record_type.FromString(content) for content in _file_records(path.read_bytes())]
        if records and records[-1].WhichOneof("record_type") == "exit":
            return [
                {
                    item.key or ".".join(item.nested_key): item.value_json
                    for item in record.history.item
                }
                for record in records
                if record.WhichOneof("record_type") == "history"
            ]
        time.sleep(_POLL_S)
    raise RuntimeError(f"{path} has no end after {_PATIENCE_S:.0f} s")


def _file_records(log: bytes) -> Iterator[bytes]:
    """Yield the records of a log: each part has a checksum (4 bytes), a length (2), a kind (1)."""
    position, record = _HEADER, b""
    while position + _HEADER <= len(log):
        room = _BLOCK - position % _BLOCK
        if room < _HEADER:
            position += room
            continue
        length = int.from_bytes(log[position + 4 : position + 6], "little")
        begin = position + _HEADER
        record += log[begin : begin + length]
        if log[begin - 1] in _LAST:
            yield record
            record = b""
        position = begin + length


def _ranges(row: dict[str, str]) -> Iterator[tuple[str, tuple[float, ...]]]:
    for key, content in row.items():
        if key.startswith("gradients/") and key.endswith(_BINS):
            edges = json.loads(content)
            yield key.removeprefix("gradients/").removesuffix(_BINS), (edges[0], edges[-1])
