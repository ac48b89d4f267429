"""Where an interrupted training goes on: its state at the end of its last whole epoch.

DVC deletes a stage's outputs before it runs the stage, so the state is in a folder of its own,
which Git ignores, and is deleted once the results are written. It counts only for the very same
training: parameters, data, code, torch, device and number of threads. Then the results are those of
a training that was never interrupted, byte for byte.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vanishing import device
from vanishing.files import replacing
from vanishing.results import run
from vanishing.results.run import Run
from vanishing.training.loop import State

FOLDER = Path(".study/resume")


def identity(description: Run, target: torch.device) -> str:
    """Return a SHA-256 of everything that a training's results depend on."""
    modules = {
        name: Path(file).read_bytes()
        for name, module in sys.modules.items()
        if name.startswith("stages.") and (file := module.__file__)
    }
    facts = {
        "run": description.model_dump(mode="json", by_alias=True),
        "code": {name: hashlib.sha256(code).hexdigest() for name, code in sorted(modules.items())},
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device.describe(target),
        "threads": torch.get_num_threads(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def forget(variant: str) -> None:
    """Delete a variant's state: its results are written."""
    shutil.rmtree(FOLDER / variant, ignore_errors=True)


class Keeper:
    """Writes one seed's snapshots, and what it takes to go on.

    Attributes:
        resumed: The state to go on from; None where there is none for this training.
        elapsed_s: How long it took up to there, in seconds.
    """

    def __init__(self, description: Run, seed: int, identity: str, network: nn.Module) -> None:
        self._description = description
        self._seed = seed
        self._identity = identity
        self._network = network
        self._path = FOLDER / description.variant / f"seed-{seed}.safetensors"
        self._snapshots: dict[str, str] = {}  # {epoch: SHA-256 of its file}
        self.resumed, self.elapsed_s = self._load()
        self._begun_s = time.monotonic() - self.elapsed_s

    def snapshot(self, epoch: int) -> None:
        """Write the weights after an epoch."""
        output = run.snapshot_path(self._description.variant, self._seed, epoch)
        _write(output, self._network.state_dict(), None)
        self._spare(epoch).unlink(missing_ok=True)
        _link(output, self._spare(epoch))
        self._snapshots[str(epoch)] = _sha256(output)

    def keep(self, state: State) -> None:
        """Write the state at the end of an epoch, in place of the one before."""
        facts = {
            "identity": self._identity,
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
                if facts["identity"] != self._identity:
                    return None, 0.0
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            epoch = int(facts["epoch"])
            snapshots = json.loads(facts["snapshots"])
            # A spare is the same file as the output, if that is still there: so is any damage.
            if any(_sha256(self._spare(int(each))) != known for each, known in snapshots.items()):
                return None, 0.0
            for each in snapshots:
                _link(
                    self._spare(int(each)),
                    run.snapshot_path(self._description.variant, self._seed, int(each)),
                )
            self._snapshots = snapshots
        except (OSError, SafetensorError, KeyError):
            return None, 0.0  # none, or not whole: from the beginning
        return State(epoch, json.loads(facts["history"]), tensors), float(facts["elapsed_s"])

    def _spare(self, epoch: int) -> Path:
        """Return where a snapshot is once more, safe from DVC."""
        output = run.snapshot_path(self._description.variant, self._seed, epoch)
        return self._path.with_suffix("") / output.name


def _write(path: Path, tensors: dict[str, Tensor], facts: dict[str, str] | None) -> None:
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, facts)
        except SafetensorError as error:  # as it calls a full disk
            raise OSError(str(error)) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
