"""One training of a case: deterministic, on the CPU, watched by whatever is given."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from benchmarks.zoo import alterations, data, networks
from benchmarks.zoo.cases import Case
from vanishing.datasets.examples import Examples
from vanishing.seeds import generator

STEPS = 500
BATCH = 64
CHECKPOINTS = (0.1, 0.25, 0.5, 0.9, 0.95, 1.0)  # shares of the steps, after which the test is taken

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}
_PRETRAINING_RATE = 1e-3  # of Adam
_SMOOTHING = 0.1


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        losses: Training loss of each step's batch, as the case computes it.
        accuracies: Test accuracy after each of CHECKPOINTS.
        batch_accuracies: Share of each step's batch that the network named rightly before the step.
        seconds: Of processor time that it took; no part of what is compared.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    batch_accuracies: tuple[float, ...]
    seconds: float = field(compare=False, default=0.0)


def _summed(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="sum")


def _double_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits.softmax(1), labels)


def _smoothed(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, label_smoothing=_SMOOTHING)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "summed": _summed,
    "double-softmax": _double_softmax,
    "smoothed": _smoothed,
}


class Watching(Protocol):
    """Whatever is told the loss of each step, before its backward pass."""

    def loss(self, loss: Tensor) -> None:
        """Take the loss."""


Watch = Callable[[nn.Module, Optimizer], AbstractContextManager[Watching]]


def train(case: Case, seed: int, steps: int = STEPS, watch: Watch | None = None) -> Outcome:
    """Train a case.

    Torch's global generator is left as it was. On one machine and number of threads the same
    arguments give the same outcome, watched or not.

    Args:
        case: The case.
        seed: Of the initial weights, the order of the examples and what a defect draws.
        steps: Steps of the optimizer.
        watch: Opens what watches it, as `vanishing.watch` does; None if nothing does.

    Returns:
        Its outcome.
    """
    begun = time.process_time()
    examples = examples_of(case, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "zoo weights").initial_seed())
        network = build(case, examples, seed)
    losses, accuracies, of_batches = _optimize(network, case, examples, (seed, steps), watch)
    seconds = time.process_time() - begun
    return Outcome(tuple(losses), tuple(accuracies), tuple(of_batches), seconds)


def examples_of(case: Case, seed: int) -> data.Dataset:
    """Return the examples of a case, with its defect."""
    examples = data.load(case.dataset)
    if case.defect:
        examples = data.DEFECTS[case.defect](examples, generator(seed, "zoo defect"))
    return examples


def learning_rate(case: Case, step: int) -> float:
    """Return the learning rate of a step, of which 1 is the first."""
    rate: float = case.settings["lr"]
    return rate * min(1.0, step / max(1, case.warm_up))


def build(case: Case, examples: data.Dataset, seed: int) -> nn.Module:
    """Build the network, pretrain it if the case says so, and alter it."""
    network = networks.build(case.network, examples.side, case.arguments)
    if case.pretraining:
        _pretrain(network, examples.train, case.pretraining, seed)
    for alteration in case.alterations:
        alterations.alter(network, alteration)
    return network


def _pretrain(network: nn.Module, examples: Examples, steps: int, seed: int) -> None:
    """Train on another task, images with rows and columns exchanged, and draw a new head."""
    task = examples._replace(inputs=examples.inputs.transpose(2, 3).contiguous())
    optimizer = Adam(network.parameters(), lr=_PRETRAINING_RATE)
    for rows in _batches(task.labels, steps, False, generator(seed, "zoo pretraining")):
        optimizer.zero_grad()
        cross_entropy(network(task.inputs[rows]), task.labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    head = network.get_submodule("head")
    assert isinstance(head, nn.Linear)  # noqa: S101 - each network of the zoo has one
    head.reset_parameters()


def _optimize(
    network: nn.Module,
    case: Case,
    examples: data.Dataset,
    seed_and_steps: tuple[int, int],
    watch: Watch | None,
) -> tuple[list[float], list[float], list[float]]:
    """Take the steps; return losses, accuracies at the checkpoints, and those of each batch."""
    seed, steps = seed_and_steps
    optimizer = OPTIMIZERS[case.optimizer](network.parameters(), **case.settings)
    checkpoints = [math.ceil(share * steps) for share in CHECKPOINTS]
    losses: list[float] = []
    accuracies: list[float] = []
    batch_accuracies: list[float] = []
    batches = _batches(examples.train.labels, steps, case.sorted, generator(seed, "zoo batches"))
    with watch(network, optimizer) if watch else nullcontext(None) as watching:
        for step, rows in enumerate(batches, start=1):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(case, step)
            if case.zero_grad:
                optimizer.zero_grad()
            logits = network(examples.train.inputs[rows])
            labels = examples.train.labels[rows]
            loss = LOSSES[case.loss](logits, labels)
            if watching:
                watching.loss(loss)
            loss.backward()  # type: ignore[no-untyped-call]
            if case.clip is not None:
                clip_grad_norm_(network.parameters(), case.clip)
            optimizer.step()
            losses.append(loss.item())
            batch_accuracies.append(_share_right(logits, labels))
            accuracies += [_accuracy(network, examples.test)] * checkpoints.count(step)
    return losses, accuracies, batch_accuracies


def _batches(labels: Tensor, steps: int, in_order: bool, rng: Generator) -> Iterator[Tensor]:
    """Yield the rows of each batch, epoch after epoch; what is left of an epoch is dropped.

    Args:
        labels: Of the training examples.
        steps: Number of batches.
        in_order: Whether the examples come sorted by their label instead of shuffled.
        rng: Shuffles.

    Yields:
        Indices, (64,).
    """
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(left) < BATCH:
            left = labels.argsort(stable=True)
            if not in_order:
                left = torch.randperm(len(labels), generator=rng)
        yield left[:BATCH]
        left = left[BATCH:]


def _accuracy(network: nn.Module, examples: Examples) -> float:
    """Return the share of the test examples that the network names rightly."""
    network.eval()
    with torch.no_grad():
        accuracy = _share_right(network(examples.inputs), examples.labels)
    network.train()
    return accuracy


def _share_right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
