"""The training loop: one network, one seed; losses by epoch, a trace of norms, snapshots."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.examples import Examples
from stages.core.network import weight_layers
from stages.core.params.study import Train

_EVALUATION_BATCH = 1000  # bounds memory; the result does not depend on it but for rounding


class Progress(Protocol):
    """What the loop tells while it runs."""

    def step(self) -> object:
        """One more step is done."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> object:
        """The norms of a traced step, and its batch's loss, are known."""

    def epoch(self, row: dict[str, Any]) -> object:
        """An epoch is over; `row` is its row of the history."""


class Outcome(NamedTuple):
    """Rows of history.parquet, losses.parquet and trace.parquet, without `variant` and `seed`."""

    history: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    trace: list[dict[str, Any]]


def generator(seed: int, purpose: str) -> torch.Generator:
    """Make a generator on the CPU whose stream depends on the seed and on what it is for.

    Separate streams keep the order of the examples the same for every variant, however many
    numbers its initialisation draws.

    Returns:
        The generator.
    """
    entropy = [seed, *purpose.encode()]
    state = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state >> 1)  # manual_seed takes 63 bits


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
        mean loss of every batch, and the traced norms.
    """
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.learning_rate, momentum=settings.momentum
    )
    recorder = Trace(network)
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
        losses, correct, sizes = [], [], []
        for images, labels in batches(examples["train"], settings.batch_size, order):
            step += 1
            traced = step == 1 or step % settings.trace_every == 0
            optimizer.zero_grad()
            logits = network(images)
            loss = cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            if traced:
                recorder.before_step()
            optimizer.step()
            losses.append(loss.detach())
            correct.append((logits.detach().argmax(1) == labels).sum())
            sizes.append(len(labels))
            if traced:
                progress.trace(*recorder.after_step(step, losses[-1]))
            progress.step()
        means = torch.stack(losses).double().tolist()
        first = step - len(means) + 1
        by_step += [{"epoch": epoch, "step": first + i, "loss": x} for i, x in enumerate(means)]
        total = sum(mean * size for mean, size in zip(means, sizes, strict=True))
        close_epoch(epoch, (total / sum(sizes), _sum(correct) / sum(sizes)))
    return Outcome(history, by_step, recorder.rows)


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
    for start in range(0, count, size):
        chosen = permutation[start : start + size]
        if len(chosen) > 1 or size == 1:
            yield examples.images[chosen], examples.labels[chosen]


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


class Trace:
    """L2 norms per weight layer at the steps where it is called.

    Recorded are ‖W‖ before the step, ‖dL/dW‖ and ‖dL/db‖ (0 where a layer has no bias) as the
    optimizer sees them, and the step taken, ‖W_after - W_before‖. Each is a sum over all elements,
    accumulated in the tensor's own precision; all of a step come from the device at once.

    Attributes:
        rows: One per step, layer and tensor.
    """

    def __init__(self, network: nn.Module) -> None:
        self.rows: list[dict[str, Any]] = []
        self._layers = weight_layers(network)
        self._before: list[Tensor] = []

    _TENSORS = ("weight", "weight_gradient", "bias_gradient", "update")

    def before_step(self) -> None:
        """Keep the weights that the optimizer is about to change."""
        self._before = [layer.weight.detach().clone() for layer in self._layers.values()]

    def after_step(self, step: int, loss: Tensor) -> tuple[list[dict[str, Any]], float]:
        """Record the norms of step number `step` (1 is the first).

        Returns:
            Its rows, and the loss.
        """
        norms = []
        for layer, before in zip(self._layers.values(), self._before, strict=True):
            update = layer.weight.detach() - before
            bias_gradient = None if layer.bias is None else layer.bias.grad
            for tensor in (before, layer.weight.grad, bias_gradient, update):
                absent = before.new_zeros(())
                norms.append(torch.linalg.vector_norm(absent if tensor is None else tensor))
        *values, read = torch.stack([*norms, loss]).tolist()
        keys = (
            {"layer_index": index, "layer": name, "tensor": tensor, "statistic": "l2_norm"}
            for index, name in enumerate(self._layers)
            for tensor in self._TENSORS
        )
        found = [{"step": step, **k, "value": v} for k, v in zip(keys, values, strict=True)]
        self.rows += found
        return found, read
