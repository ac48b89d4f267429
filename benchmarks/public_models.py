"""How many of twenty public models each tool manages, unchanged.

The models are those of tests/test_public_models.py, made small, and trained for three steps. A tool
**manages** one if

1. nothing raises an error: attaching, forward and backward passes, steps, reading the record;
2. training goes on as without it: all losses, all gradients right before each step and, in the end,
   all weights equal those of an untouched twin byte for byte;
3. every layer that has a gradient at a step has a row of that step. Tools that report gradients of
   outputs need one for each layer whose output has a gradient, the others for each parameter's
   layer. The numbers in the rows are not compared: `correctness` does that.

This was written down before anything was measured.
"""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from benchmarks.correctness import layers, quiet_in
from benchmarks.measuring import Figures, Result, Row
from benchmarks.watchers import OURS, WATCHERS
from benchmarks.watchers.watcher import Records, Watcher
from tests.support.public_models import PUBLIC_MODELS, Training

Verdict = Literal["managed", "crash", "changes the training", "lacks layers"]
Layers = dict[int, set[str]]  # {step: names of layers}
STEPS = 3


class _Run:
    """A training of which all that a tool might change is kept.

    Attributes:
        model: The one that is trained; of several, a container of them.
        optimizers: As many as train it.
        bytes: Digests of each parameter's gradient right before each step, of the losses, and in
            the end of the weights.
        take_step: Takes a step of each optimizer, and returns the loss.
        losses: One per step.
        of_parameters: The layers with a parameter that has a gradient, by step.
        of_outputs: The layers of which an output has one, by step.
    """

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self._training: Training = PUBLIC_MODELS[name]()
        models = self._training.models
        self.model = models[""] if "" in models else nn.ModuleDict(models)
        self.optimizers = self._training.optimizers
        self.take_step = self._training.step
        self.bytes: list[bytes] = []
        self.losses: list[Tensor] = []
        self.of_parameters: Layers = {}
        self.of_outputs: Layers = {}

    def listen(self) -> None:
        """See which outputs have gradients, in hooks; for a twin that no tool watches."""
        for name, layer in layers(self.model).items():
            layer.register_forward_hook(self._listener(name))

    def _listener(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def keep(_gradient: Tensor) -> None:
            self.of_outputs.setdefault(len(self.losses) + 1, set()).add(name)

        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.requires_grad:
                first.register_hook(keep)  # type: ignore[no-untyped-call]

        return hook

    def train(self, before_step: Callable[[nn.Module, str], None] | None = None) -> None:
        """Take all steps.

        Args:
            before_step: Is told the module that an optimizer's step changes, and its prefix.
        """
        for optimizer in self.optimizers:
            optimizer.register_step_pre_hook(lambda taken, *_: self._look(taken, before_step))
        torch.manual_seed(1)
        for _ in range(STEPS):
            self.losses.append(self.take_step())
        self.bytes += map(_digest, [*self.losses, *self.model.state_dict().values()])

    def _look(
        self, optimizer: Optimizer, before_step: Callable[[nn.Module, str], None] | None
    ) -> None:
        of_optimizer = {p for group in optimizer.param_groups for p in group["params"]}
        for prefix, part in self._training.models.items():
            if before_step is not None and of_optimizer & set(part.parameters()):
                before_step(part, f"{prefix}." if prefix else "")
        for name, parameter in self.model.named_parameters():
            if parameter in of_optimizer and parameter.grad is not None:
                self.bytes.append(_digest(parameter.grad))
                step = self.of_parameters.setdefault(len(self.losses) + 1, set())
                step.add(name.rpartition(".")[0])

    def is_like(self, twin: "_Run") -> bool:
        """Tell whether losses, gradients and weights are those of a twin, byte for byte."""
        return self.bytes == twin.bytes


def _digest(values: Tensor) -> bytes:
    """Tell tensors apart by their bytes; copies of all gradients would fill the memory."""
    flat = values.detach().contiguous().reshape(-1)
    return sha256(flat.view(torch.uint8).numpy().data).digest()


def train_twin(name: str) -> _Run:
    """Train a model that nobody watches.

    Returns:
        The training, with the layers that have gradients.

    Raises:
        RuntimeError: If a second training is not the same.
    """
    listened, alone = _Run(name), _Run(name)
    listened.listen()
    for run in (listened, alone):
        run.train()
    if not listened.is_like(alone):
        raise RuntimeError(f"{name}: two trainings differ, so nothing can be said of a tool")
    return listened


def judge(tool: type[Watcher], name: str, twin: _Run) -> Verdict:
    """Train a model under a tool, and hold it to the definition of the module."""
    run = _Run(name)
    with TemporaryDirectory() as folder, quiet_in(folder):
        try:
            watcher = tool(run.model, run.optimizers, Path(folder))
            with watcher:
                _train_under(watcher, run)
            records = watcher.records()
        except Exception:  # noqa: BLE001 - whatever a tool raises
            return "crash"
    if not run.is_like(twin):
        return "changes the training"
    expected = twin.of_parameters if tool.quantity.subject == "parameter" else twin.of_outputs
    recorded = _layers_of(records, run.model)
    missing = any(names - recorded.get(step, set()) for step, names in expected.items())
    return "lacks layers" if missing else "managed"


def _train_under(watcher: Watcher, run: _Run) -> None:
    step = run.take_step

    def watched_step() -> Tensor:
        loss = step()
        watcher.after_step(loss)
        return loss

    run.take_step = watched_step
    run.train(watcher.before_step)


def _layers_of(records: Records, model: nn.Module) -> Layers:
    """Return the layers with a row; a row is named by a layer, or by a parameter of one."""
    parameters = {name for name, _ in model.named_parameters()}
    return {
        step: {name.rpartition(".")[0] if name in parameters else name for name in rows}
        for step, rows in records.items()
    }


def measure() -> Figures:
    """Judge every tool on every model."""
    rows: list[Row] = []
    for name in tqdm(PUBLIC_MODELS, desc="public_models", unit="model", disable=None):
        twin = train_twin(name)
        verdicts = {tool: judge(watcher, name, twin) for tool, watcher in WATCHERS.items()}
        rows.append({"model": name, **verdicts})
    return Figures([_count(rows, tool) for tool in WATCHERS], {"public_models": rows})


def _count(rows: list[Row], tool: str) -> Result:
    counts = Counter(row[tool] for row in rows)
    limit = f">= {len(rows)}" if tool == OURS else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    what = f"{tool}: public models of {len(rows)} that it manages, unchanged"
    return Result(what, counts["managed"], limit, limit, "", kinds)
