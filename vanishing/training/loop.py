"""The training loop of one network: losses by epoch, a trace of gradients, snapshots."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.datasets.examples import Examples
from vanishing.params.study import Training
from vanishing.recording.trace import Columns, Trace
from vanishing.seeds import generator
from vanishing.training.sgd import SGDInBackward

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
        tensors: Weights, velocities, the state of the order's generator, losses and the trace.
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
    """Rows, or columns, of the tables of these names, without `variant` and `seed`."""

    history: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    trace: Columns
    trace_histograms: Columns


def train(
    network: nn.Module,
    settings: Training,
    examples: dict[str, Examples],
    order: torch.Generator,
    checkpoints: Checkpoints,
    progress: Progress,
) -> Outcome:
    """Train `network` in place by stochastic gradient descent on the mean cross-entropy.

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
        self._optimizer = SGDInBackward(network, settings.learning_rate, settings.momentum)
        self._trace = Trace(network)
        self._evaluated = sample(examples["train"], settings.evaluation_size)
        self._steps = len(starts(len(examples["train"].labels), settings.batch_size))
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
        losses = [
            {"epoch": index // self._steps + 1, "step": index + 1, "loss": loss}
            for index, loss in enumerate(torch.cat(self._losses).double().tolist())
        ]
        return Outcome(self._history, losses, self._trace.statistics(), self._trace.histograms())

    def _train_epoch(self) -> tuple[float, float]:
        """Take every step of an epoch; return the running means of loss and accuracy."""
        self._network.train()
        device = self._examples["train"].labels.device
        # Kept in one place each: a small tensor per step, kept until the epoch's end, would leave
        # the allocator holes of a gradient's size that no gradient fits into (0.5 GB of them).
        losses = torch.zeros(self._steps, device=device)
        correct = torch.zeros((), dtype=torch.int64, device=device)
        sizes = []
        for i, (images, labels) in enumerate(
            batches(self._examples["train"], self._settings.batch_size, self._order)
        ):
            self._step += 1
            traced = self._step == 1 or self._step % self._settings.trace_every == 0
            self._optimizer.observer = self._trace if traced else None
            logits = self._network(images)
            loss = cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call] # and the step: see SGDInBackward
            losses[i] = loss.detach()
            correct += (logits.detach().argmax(1) == labels).sum()
            sizes.append(len(labels))
            if traced:
                self._progress.trace(*self._trace.read(self._step, losses[i]))
            self._progress.step()
        self._losses.append(losses)
        means = losses.double().tolist()
        total = sum(mean * size for mean, size in zip(means, sizes, strict=True))
        return total / sum(sizes), int(correct) / sum(sizes)

    def _close_epoch(self, epoch: int, running: tuple[float, float] | None) -> None:
        """Evaluate the network, add a row to the history, and save a snapshot where one is due."""
        test_loss, test_accuracy = evaluate(self._network, self._examples["test"])
        train_loss_end, train_accuracy_end = evaluate(self._network, self._evaluated)
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
            "network": self._network.state_dict(),
            "velocity": self._optimizer.state(),
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

        self._network.load_state_dict(part("network"))
        self._optimizer.restore(part("velocity"))
        self._trace.restore(part("trace"))
        self._order.set_state(state.tensors["order"])
        losses = state.tensors["losses"].to(self._examples["train"].labels.device)
        self._losses = list(torch.split(losses, self._steps))
        self._history = state.history
        self._step = state.epoch * self._steps
        for row in self._history:
            self._progress.epoch(row)
        return state.epoch


def sample(examples: Examples, size: int) -> Examples:
    """Draw `size` examples, all where there are fewer; the same ones every time."""
    chosen = torch.randperm(len(examples.labels), generator=generator(0, "evaluation"))[:size]
    chosen = chosen.to(examples.labels.device)
    return Examples(examples.images[chosen], examples.labels[chosen])


def batches(
    examples: Examples, size: int, order: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the examples once, shuffled, in batches of `size`; the last may be smaller.

    A last batch of a single example is left out: batch normalization has no variance there.

    Yields:
        Images (batch, pixels) and labels (batch,).
    """
    count = len(examples.labels)
    permutation = torch.randperm(count, generator=order).to(examples.labels.device)
    for start in starts(count, size):
        chosen = permutation[start : start + size]
        yield examples.images[chosen], examples.labels[chosen]


def starts(count: int, size: int) -> range:
    """Return the index at which each batch starts; see `batches` for the last."""
    return range(0, count - 1 if size > 1 else count, size)


@torch.inference_mode()
def evaluate(network: nn.Module, examples: Examples) -> tuple[float, float]:
    """Evaluate in evaluation mode (batch normalization with its running statistics).

    Returns:
        The mean cross-entropy in nats, and the share of correct predictions.
    """
    network.eval()
    losses, correct = [], []
    for start in range(0, len(examples.labels), _EVALUATION_BATCH):
        chunk = slice(start, start + _EVALUATION_BATCH)
        logits, labels = network(examples.images[chunk]), examples.labels[chunk]
        losses.append(cross_entropy(logits, labels, reduction="sum"))
        correct.append((logits.argmax(1) == labels).sum())
    count = len(examples.labels)
    return _sum(losses) / count, _sum(correct) / count


def _sum(values: list[Tensor]) -> float:
    """Add up scalars in float64, read from the device at once."""
    return float(torch.stack(values).double().sum())
