"""The training loop of one network: losses by epoch, a trace of gradients, snapshots."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.datasets.examples import Examples
from vanishing.networks.weights import restore, state_of
from vanishing.params.study import Precision, Training
from vanishing.recording.step_tables import Columns
from vanishing.recording.trace import Trace
from vanishing.seeds import generator
from vanishing.training.precision import autocast
from vanishing.training.steps import Steps

_SEEDS = 2**63
_EVALUATION_BATCH = 500  # bounds memory; the result depends on it by rounding alone


class Progress(Protocol):
    """Hears of a training while it runs."""

    def step(self) -> object:
        """A step is done."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> object:
        """The norms of a traced step, as rows, and the loss of its batch are known."""

    def epoch(self, row: dict[str, Any]) -> object:
        """An epoch is over; `row` is its row of the history."""


class State(NamedTuple):
    """Everything that the rest of a training depends on, at the end of an epoch.

    Attributes:
        epoch: The epoch; 1 is the first.
        history: The rows of the history so far.
        tensors: Weights, the states of the optimizer and of the order's generator, losses and the
            trace.
    """

    epoch: int
    history: list[dict[str, Any]]
    tensors: dict[str, Tensor]


class Checkpoints(Protocol):
    """Keeps a training's snapshots, and the state from which it is resumed after an interruption.

    Attributes:
        resumed: The state to resume from; None to begin.
    """

    @property
    def resumed(self) -> State | None:
        """See above."""

    def snapshot(self, epoch: int) -> object:
        """The network has the weights of an epoch that is to be saved; 0 is the initialisation."""

    def keep(self, state: State) -> object:
        """An epoch is over; the tensors may change once this returns."""


class Outcome(NamedTuple):
    """The tables of these names, without `variant` and `seed`: rows, or columns in pieces."""

    history: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    trace: list[Columns]
    trace_histograms: list[Columns]


def train(
    network: nn.Module,
    settings: Training,
    examples: dict[str, Examples],
    order: torch.Generator,
    checkpoints: Checkpoints,
    progress: Progress,
) -> Outcome:
    """Train `network` in place on the mean cross-entropy.

    A loss that is NaN or infinite is recorded as it is and training continues: divergence is a
    result. The device is read once per traced step and once per epoch, and at no other time.

    A history row has `train_loss` and `train_accuracy`, the running means over the epoch while the
    weights change. At the epoch's end, in evaluation mode, it has `test_loss` and `test_accuracy`
    on the test examples, and `train_loss_end` and `train_accuracy_end` on
    `settings.evaluation_size` training examples, the same for every variant and seed. Only the
    latter two pairs are of the same weights: their difference is the generalization gap.

    Args:
        network: On the device that the examples are on.
        settings: How to train.
        examples: `train` and `test`.
        order: Draws one permutation of the examples per epoch.
        checkpoints: Keeps the epochs of `settings.snapshots`, and the state after every epoch.
            Resumed from a state, a training has the result, byte for byte, that it would have had
            without the interruption; `network` and `order` are then overwritten.
        progress: Hears of every step, traced step and epoch; of the epochs before a resumed state
            at once, of their steps not at all.

    Returns:
        One history row per epoch, 0 included (its running means are those of the evaluation), the
        mean loss of every batch, and the trace.
    """
    return _Loop(network, settings, examples, order, checkpoints, progress).run()


class _Loop:
    """One training."""

    def __init__(
        self,
        network: nn.Module,
        settings: Training,
        examples: dict[str, Examples],
        order: torch.Generator,
        checkpoints: Checkpoints,
        progress: Progress,
    ) -> None:
        self._network = network
        self._settings = settings
        self._examples = examples
        self._order = order
        self._checkpoints = checkpoints
        self._progress = progress
        self._trace = Trace(network)
        self._steps = Steps(network, settings, examples["train"], self._trace)
        self._evaluated = sample(examples["train"], settings.evaluation_size)
        self._history: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []  # (steps,) per epoch
        self._step = 0

    def run(self) -> Outcome:
        first = 1
        if self._checkpoints.resumed is None:
            self._close_epoch(0, None)
        else:
            first = self._resume(self._checkpoints.resumed) + 1
        for epoch in range(first, self._settings.epochs + 1):
            self._close_epoch(epoch, self._train_epoch())
            self._checkpoints.keep(State(epoch, self._history, self._tensors()))
        steps = len(self._steps.sizes)
        losses = [
            {"epoch": index // steps + 1, "step": index + 1, "loss": loss}
            for index, loss in enumerate(torch.cat(self._losses).double().tolist())
        ]
        return Outcome(self._history, losses, self._trace.statistics(), self._trace.histograms())

    def _train_epoch(self) -> tuple[float, float]:
        """Take every step of an epoch; return the running means of loss and accuracy."""
        self._network.train()
        steps = self._steps
        # What the network itself draws, as dropout does, is the same after an interruption.
        torch.manual_seed((self._order.initial_seed() + self._step) % _SEEDS)
        steps.begin(self._order)
        for index in range(len(steps.sizes)):
            self._step += 1
            traced = self._step == 1 or self._step % self._settings.trace_every == 0
            observer = steps.take(index, traced)
            if observer is not None:
                row = self._trace.read(self._step, observer, steps.losses[index])
                self._progress.trace(*row)
            self._progress.step()
        self._losses.append(steps.losses.clone())
        means = steps.losses.double().tolist()
        total = sum(mean * size for mean, size in zip(means, steps.sizes, strict=True))
        count = sum(steps.sizes)
        return total / count, int(steps.correct) / count

    def _close_epoch(self, epoch: int, running: tuple[float, float] | None) -> None:
        """Evaluate the network, add a row to the history, and save a snapshot where one is due."""
        precision = self._settings.precision
        test_loss, test_accuracy = evaluate(self._network, self._examples["test"], precision)
        train_loss_end, train_accuracy_end = evaluate(self._network, self._evaluated, precision)
        train_loss, train_accuracy = running or (train_loss_end, train_accuracy_end)
        row = {
            "epoch": epoch,
            "step": self._step,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "train_loss_end": train_loss_end,
            "train_accuracy_end": train_accuracy_end,
        }
        self._history.append(row)
        self._progress.epoch(row)
        if epoch in self._settings.snapshots:
            self._checkpoints.snapshot(epoch)

    def _tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a State."""
        parts = {
            "network": state_of(self._network),
            "optimizer": self._steps.optimizer.state(),
            "trace": self._trace.state(),
        }
        named = {f"{part}.{k}": v for part, tensors in parts.items() for k, v in tensors.items()}
        return {"losses": torch.cat(self._losses), "order": self._order.get_state(), **named}

    def _resume(self, state: State) -> int:
        """Put a state in place; return its epoch."""

        def part(name: str) -> dict[str, Tensor]:
            start = f"{name}."
            tensors = state.tensors.items()
            return {k.removeprefix(start): v for k, v in tensors if k.startswith(start)}

        restore(self._network, part("network"))
        self._steps.optimizer.restore(part("optimizer"))
        self._trace.restore(part("trace"))
        self._order.set_state(state.tensors["order"])
        losses = state.tensors["losses"].to(self._examples["train"].labels.device)
        self._losses = list(torch.split(losses, len(self._steps.sizes)))
        self._history = state.history
        self._step = state.epoch * len(self._steps.sizes)
        for row in self._history:
            self._progress.epoch(row)
        return state.epoch


def sample(examples: Examples, size: int) -> Examples:
    """Draw `size` examples, all where there are fewer; the same ones every time."""
    chosen = torch.randperm(len(examples.labels), generator=generator(0, "evaluation"))[:size]
    chosen = chosen.to(examples.labels.device)
    return Examples(examples.inputs[chosen], examples.labels[chosen])


@torch.inference_mode()
def evaluate(
    network: nn.Module, examples: Examples, precision: Precision = "float32"
) -> tuple[float, float]:
    """Evaluate in evaluation mode (batch normalization with its running statistics).

    Returns:
        The mean cross-entropy in nats, and the share of correct predictions.
    """
    network.eval()
    losses, correct = [], []
    for start in range(0, len(examples.labels), _EVALUATION_BATCH):
        chunk = slice(start, start + _EVALUATION_BATCH)
        labels = examples.labels[chunk]
        with autocast(labels.device, precision):
            logits = network(examples.inputs[chunk])
            losses.append(cross_entropy(logits, labels, reduction="sum"))
        correct.append((logits.argmax(1) == labels).sum())
    count = len(examples.labels)
    return _sum(losses) / count, _sum(correct) / count


def _sum(values: list[Tensor]) -> float:
    """Add up scalars in float64, read from the device at once."""
    return float(torch.stack(values).double().sum())
