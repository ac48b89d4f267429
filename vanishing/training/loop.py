"""The training loop: one network, one seed; losses by epoch, a trace of gradients, snapshots."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.datasets.examples import Examples
from vanishing.params.study import Train
from vanishing.recording.trace import Columns, Trace
from vanishing.seeds import generator
from vanishing.training.sgd import Descent

_EVALUATION_BATCH = 500  # bounds memory; the result does not depend on it but for rounding


class Progress(Protocol):
    """What the loop tells while it runs."""

    def step(self) -> object:
        """One more step is done."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> object:
        """The rows of norms of a traced step, and its batch's loss, are known."""

    def epoch(self, row: dict[str, Any]) -> object:
        """An epoch is over; `row` is its row of the history."""


class State(NamedTuple):
    """What the rest of a training depends on, at the end of an epoch.

    Attributes:
        epoch: The epoch, 1 the first.
        history: The rows of the history so far.
        tensors: Weights, velocities, the state of the order's generator, and what was recorded.
    """

    epoch: int
    history: list[dict[str, Any]]
    tensors: dict[str, Tensor]


class Store(Protocol):
    """Where a training puts its snapshots, and what it takes to go on when it is cut off.

    Attributes:
        resumed: The state to go on from; None to begin.
    """

    @property
    def resumed(self) -> State | None:
        """See above."""

    def snapshot(self, epoch: int) -> object:
        """The network is as it should be saved for an epoch, 0 the initialisation."""

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
    settings: Train,
    examples: dict[str, Examples],
    order: torch.Generator,
    store: Store,
    progress: Progress,
) -> Outcome:
    """Train `network` in place by stochastic gradient descent on the mean cross-entropy.

    A loss that is NaN or infinite is recorded as it is and training goes on: divergence is a
    result. Nothing is read back from the device but once per traced step and once per epoch.

    A history row has `train_loss` and `train_accuracy`, the running means over the epoch while the
    weights change, and, at its end and in evaluation mode, `test_loss` and `test_accuracy` on the
    test examples and `train_loss_end` and `train_accuracy_end` on `settings.evaluation_size`
    training examples, the same for every variant and seed. Only the latter two pairs are of the
    same weights: their difference is the generalization gap.

    Args:
        network: On the device that the examples are on.
        settings: How to train.
        examples: `train` and `test`.
        order: Draws one permutation of the examples per epoch.
        store: Told of each entry of `settings.snapshots`, and of the state after every epoch. From
            its `resumed` state training goes on to the same result, byte for byte, that it would
            have had; `network` and `order` are then overwritten.
        progress: Told of every step, traced step and epoch; after a resumed state of what came
            before it, but for its steps.

    Returns:
        One history row per epoch, 0 included (its running means are those of the evaluation), the
        mean loss of every batch, and what the trace recorded.
    """
    descent = Descent(network, settings.learning_rate, settings.momentum)
    trace = Trace(network)
    device = examples["train"].labels.device
    steps = len(starts(len(examples["train"].labels), settings.batch_size))
    seen_again = sample(examples["train"], settings.evaluation_size)
    history: list[dict[str, Any]] = []
    losses_so_far: list[Tensor] = []
    step = 0

    def close_epoch(epoch: int, running: tuple[float, float] | None) -> None:
        test_loss, test_accuracy = evaluate(network, examples["test"])
        train_loss_end, train_accuracy_end = evaluate(network, seen_again)
        train_loss, train_accuracy = running or (train_loss_end, train_accuracy_end)
        row = {
            "epoch": epoch,
            "step": step,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "train_loss_end": train_loss_end,
            "train_accuracy_end": train_accuracy_end,
        }
        history.append(row)
        progress.epoch(row)
        if epoch in settings.snapshots:
            store.snapshot(epoch)

    done = 0
    if store.resumed is None:
        close_epoch(0, None)
    else:
        done, history, tensors = store.resumed
        losses = _restore(tensors, network, descent, trace, order)
        losses_so_far = list(torch.split(losses.to(device), steps))
        step = done * steps
        for row in history:
            progress.epoch(row)
    for epoch in range(done + 1, settings.epochs + 1):
        network.train()
        # Kept in one place each: a small tensor per step, kept until the epoch's end, would leave
        # the allocator holes of a gradient's size that no gradient fits into (0.5 GB of them).
        losses = torch.zeros(steps, device=device)
        correct = torch.zeros((), dtype=torch.int64, device=device)
        sizes = []
        for i, (images, labels) in enumerate(
            batches(examples["train"], settings.batch_size, order)
        ):
            step += 1
            traced = step == 1 or step % settings.trace_every == 0
            descent.watch = trace.watch if traced else None
            logits = network(images)
            loss = cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call] # and the step: see Descent
            losses[i] = loss.detach()
            correct += (logits.detach().argmax(1) == labels).sum()
            sizes.append(len(labels))
            if traced:
                progress.trace(*trace.read(step, losses[i]))
            progress.step()
        losses_so_far.append(losses)
        means = losses.double().tolist()
        total = sum(mean * size for mean, size in zip(means, sizes, strict=True))
        close_epoch(epoch, (total / sum(sizes), int(correct) / sum(sizes)))
        tensors = _gather(torch.cat(losses_so_far), network, descent, trace, order)
        store.keep(State(epoch, history, tensors))
    by_step = [
        {"epoch": at // steps + 1, "step": at + 1, "loss": loss}
        for at, loss in enumerate(torch.cat(losses_so_far).double().tolist())
    ]
    return Outcome(history, by_step, trace.statistics(), trace.histograms())


def _gather(
    losses: Tensor, network: nn.Module, descent: Descent, trace: Trace, order: torch.Generator
) -> dict[str, Tensor]:
    parts = {"network": network.state_dict(), "velocity": descent.state(), "trace": trace.state()}
    named = {f"{part}.{k}": v for part, tensors in parts.items() for k, v in tensors.items()}
    return {"losses": losses, "order": order.get_state(), **named}


def _restore(
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    descent: Descent,
    trace: Trace,
    order: torch.Generator,
) -> Tensor:
    """Undo `_gather`; return the losses."""

    def part(name: str) -> dict[str, Tensor]:
        start = f"{name}."
        return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

    network.load_state_dict(part("network"))
    descent.restore(part("velocity"))
    trace.restore(part("trace"))
    order.set_state(tensors["order"])
    return tensors["losses"]


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
    """Return where each batch starts; see `batches` for the last."""
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
