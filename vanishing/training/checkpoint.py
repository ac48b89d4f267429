"""From where an interrupted training is resumed: its state after its last complete epoch.

DVC deletes a stage's outputs before it runs the stage, so the checkpoint is in a folder of its
own, which Git ignores, and is deleted once the results are written. It counts only for the same
training: parameters, data, code, torch, device and number of threads. Then the results are those
of a training that was never interrupted, byte for byte.
"""

import json
import os
import platform
import shutil
import time
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vanishing import paths
from vanishing.files import digest, replacing, sha256
from vanishing.networks.weights import state_of
from vanishing.results.run import RunRecord
from vanishing.training.loop import State


def training_digest(record: RunRecord, code: str) -> str:
    """Return a SHA-256 of everything that a training's results depend on.

    Args:
        record: The training's parameters, data and machine included.
        code: The fingerprints of its code.

    Returns:
        The digest, in hexadecimal.
    """
    return digest(
        {
            "run": record.model_dump(mode="json", by_alias=True),
            "code": code,
            "python": platform.python_version(),
        }
    )


def discard(variant: str, seed: int) -> None:
    """Delete the checkpoint of a training run whose results are written."""
    shutil.rmtree(paths.checkpoint(variant, seed), ignore_errors=True)


class Checkpointer:
    """Writes a training run's snapshots, and its checkpoint after every epoch.

    Attributes:
        resumed: The state to resume from; None where this training has no checkpoint.
        elapsed_s: How long the training took up to that state, in seconds.
    """

    def __init__(self, record: RunRecord, training: str, network: nn.Module) -> None:
        """Read the checkpoint, if there is one.

        Args:
            record: Of the training run.
            training: As `training_digest` returns it; a checkpoint of another one is ignored.
            network: Whose weights to write.
        """
        self._run = record.variant, record.seed
        self._training = training
        self._network = network
        self._folder = paths.checkpoint(*self._run)
        self._path = self._folder / "state.safetensors"
        self._snapshots: dict[str, str] = {}  # {epoch: SHA-256 of its file}
        self.resumed, self.elapsed_s = self._load()
        self._begun_s = time.monotonic() - self.elapsed_s

    def snapshot(self, epoch: int) -> None:
        """Write the weights after an epoch."""
        output = paths.snapshot(*self._run, epoch)
        _write(output, state_of(self._network), None)
        self._backup(epoch).unlink(missing_ok=True)
        _link(output, self._backup(epoch))
        self._snapshots[str(epoch)] = sha256(output)

    def keep(self, state: State) -> None:
        """Write the state after an epoch, in place of the one before."""
        facts = {
            "training": self._training,
            "epoch": str(state.epoch),
            "history": json.dumps(state.history),
            "snapshots": json.dumps(self._snapshots),
            "elapsed_s": str(time.monotonic() - self._begun_s),
        }
        _write(self._path, {k: v.cpu().contiguous() for k, v in state.tensors.items()}, facts)

    def _load(self) -> tuple[State | None, float]:
        try:
            with safe_open(self._path, "pt") as file:
                facts = file.metadata()
                if facts["training"] != self._training:
                    return None, 0.0
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            snapshots = json.loads(facts["snapshots"])
            # A backup and its output may be one file, so that damage to one is damage to both.
            if any(sha256(self._backup(int(e))) != expected for e, expected in snapshots.items()):
                return None, 0.0
            for epoch in map(int, snapshots):
                _link(self._backup(epoch), paths.snapshot(*self._run, epoch))
            self._snapshots = snapshots
            state = State(int(facts["epoch"]), json.loads(facts["history"]), tensors)
            elapsed_s = float(facts["elapsed_s"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None, 0.0  # there is none, or it is damaged
        return state, elapsed_s

    def _backup(self, epoch: int) -> Path:
        """Return the path of a snapshot's second copy, which DVC does not delete."""
        return self._folder / paths.snapshot(*self._run, epoch).name


def _write(path: Path, tensors: dict[str, Tensor], facts: dict[str, str] | None) -> None:
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, facts)
        except SafetensorError as error:  # which a full disk raises
            raise OSError(str(error)) from error


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or make a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
