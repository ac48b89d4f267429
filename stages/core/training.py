"""The training loop: one network, one seed; losses by epoch, a trace of gradients, snapshots."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.descent import Descent
from stages.core.examples import Examples
from stages.core.params.study import Train
from stages.core.seeds import generator
from stages.core.trace import Columns, Trace

_EVALUATION_BATCH = 500  # bounds memory; the result does not depend on it but for rounding


class Progress(Protocol):
    """What the loop tells while it runs."""

    def step(self) -> object:
        """One more step is done."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> object:
        """The rows of norms of a traced step, and its batch's loss, are known."""

    def epoch(self, row: dict[str, Any]) -> object:
        """An epoch is over; `row` is its row of the history."""


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
    save: Callable[[int], None],
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
        save: Called with the epoch's number for each entry of `settings.snapshots`.
        progress: Told of every step, traced step and epoch.

    Returns:
        One history row per epoch, 0 included (its running means are those of the evaluation), the
        mean loss of every batch, and what the trace recorded.
    """
    descent = Descent(network, settings.learning_rate, settings.momentum)
    trace = Trace(network)
    device = examples["train"].labels.device
    steps = len(_starts(len(examples["train"].labels), settings.batch_size))
    seen_again = sample(examples["train"], settings.evaluation_size)
    history: list[dict[str, Any]] = []
    by_step: list[dict[str, Any]] = []
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
            save(epoch)

    close_epoch(0, None)
    for epoch in range(1, settings.epochs + 1):
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
        means = losses.double().tolist()
        first = step - len(means) + 1
        by_step += [{"epoch": epoch, "step": first + i, "loss": x} for i, x in enumerate(means)]
        total = sum(mean * size for mean, size in zip(means, sizes, strict=True))
        close_epoch(epoch, (total / sum(sizes), int(correct) / sum(sizes)))
    return Outcome(history, by_step, trace.statistics(), trace.histograms())


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
    for start in _starts(count, size):
        chosen = permutation[start : start + size]
        yield examples.images[chosen], examples.labels[chosen]


def _starts(count: int, size: int) -> range:
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
