"""What is trained, on what, and how well it does: the task that a remedy is looked for."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from vanishing.errors import StudyError
from vanishing.gate.assertion import adam
from vanishing.gate.trials import Loss, MakeModel, MakeOptimizer
from vanishing.networks.steps import take_step
from vanishing.networks.undisturbed import call, copied, map_tensors
from vanishing.recording.tensors import tensors
from vanishing.seeds import generator

Loop = Callable[[nn.Module, Optimizer], Iterator[Tensor]]

_PAIR = 2  # inputs and targets, or training and test


class Split(NamedTuple):
    """Examples.

    Attributes:
        inputs: A tensor, or a tuple or mapping of arguments; the first axis is that of examples.
        targets: As the loss takes them.
    """

    inputs: Any
    targets: Any

    def __len__(self) -> int:
        """Return the number of examples."""
        return next((len(t) for t in tensors(self.inputs) if t.dim()), 0)

    def rows(self, rows: Any) -> "Split":
        """Return some of the examples: a slice, or indices."""
        count = len(self)

        def choose(tensor: Tensor) -> Tensor:
            return tensor[rows] if tensor.dim() and len(tensor) == count else tensor

        return Split(map_tensors(self.inputs, choose), map_tensors(self.targets, choose))


Score = Callable[[nn.Module, Split], Tensor]


@dataclass(frozen=True)
class Task:
    """A training.

    Attributes:
        make_model: Returns a new network; torch, NumPy and Python are seeded.
        train: Training examples.
        test: Examples that training does not use, by which it is judged.
        loss: Of outputs and targets; returns one number, the mean over examples.
        make_optimizer: Of the parameters that require a gradient.
        loop: A generator function of network and optimizer that trains, and yields the loss after
            each step; None for one that shuffles `train` into batches.
        batch_size: Of that loop.
        steps: Of the training as it is planned.
        score: How well a network does on examples, a number for each, the larger the better; None
            for whether the class is right, and of other targets for 1 - loss / first loss.
    """

    make_model: MakeModel
    train: Split
    test: Split
    loss: Loss = cross_entropy
    make_optimizer: MakeOptimizer = adam
    loop: Loop | None = None
    batch_size: int = 64
    steps: int = 500
    score: Score | None = None

    @property
    def batch(self) -> Split:
        """The first batch, as it stands in the data."""
        return self.train.rows(slice(0, self.batch_size))

    @property
    def classifies(self) -> bool:
        """Whether targets are classes: whole numbers, one per example."""
        targets = self.test.targets
        return isinstance(targets, Tensor) and targets.dim() == 1 and targets.dtype == torch.int64

    def new_model(self) -> nn.Module:
        """Return a network that nobody else has: a copy, should make_model give one it keeps."""
        model = self.make_model()
        if not isinstance(model, nn.Module):
            raise StudyError(
                f"remedy: make_model: should return an nn.Module; returned {model!r:.60}"
            )
        try:
            return copy.deepcopy(model)
        except Exception as error:
            raise StudyError(
                "remedy: make_model: the network cannot be copied, and changes are made to copies"
                f" alone: {error}"
            ) from error

    def steps_of(self, model: nn.Module, optimizer: Optimizer, seed: int) -> Iterator[Tensor]:
        """Train: each item is the loss of a step that was taken."""
        return iter(
            self.loop(model, optimizer)
            if self.loop is not None
            else _shuffled(self, model, optimizer, seed)
        )

    def evaluate(self, model: nn.Module, first_loss: float) -> Tensor:
        """Score a network in evaluation mode; its modes are afterwards as they were.

        Args:
            model: The network.
            first_loss: On the test examples before training, the scale of a loss that judges.

        Returns:
            (examples,), or (1,) of a loss.
        """
        with _evaluating(model):
            if self.score is not None:
                return self.score(model, self.test).double()
            outputs = call(model, self.test.inputs)
            logits = getattr(outputs, "logits", outputs)
            if self.classifies and isinstance(logits, Tensor):
                return logits.argmax(1).eq(self.test.targets).double()
            loss = self.loss(outputs, copied(self.test.targets)).double()
            return (1 - loss / first_loss).reshape(1)

    def first_loss(self, model: nn.Module) -> float:
        """Return the loss on the test examples before training; 1 where no loss judges."""
        if self.classifies or self.score is not None:
            return 1.0
        with _evaluating(model):
            return float(self.loss(call(model, self.test.inputs), copied(self.test.targets)))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and give it back in the modes that it had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def batches(count: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of batches without end, shuffled anew for each epoch.

    Args:
        count: Number of examples.
        batch_size: Rows of a batch; what is left of an epoch is dropped.
        seed: Of the order, which is the same for every change.

    Yields:
        Indices, (batch_size,).
    """
    rng = generator(seed, "remedy batches")
    size = min(batch_size, count)
    while True:
        order = torch.randperm(count, generator=rng)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def _shuffled(task: Task, model: nn.Module, optimizer: Optimizer, seed: int) -> Iterator[Tensor]:
    for rows in batches(len(task.train), task.batch_size, seed):
        batch = task.train.rows(rows)
        yield take_step(optimizer, partial(_loss, task, model, batch))


def _loss(task: Task, model: nn.Module, batch: Split) -> Tensor:
    loss = task.loss(call(model, batch.inputs), copied(batch.targets))
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise StudyError(
            "remedy: loss: should return one number that depends on the parameters; returned"
            f" {loss!r:.60}"
        )
    return loss


def check(task: Task) -> None:
    """Refuse a task that cannot be tried.

    Raises:
        StudyError: If there are too few examples, or outputs and loss do not fit.
    """
    for name, split in (("train", task.train), ("test", task.test)):
        if len(split) < 2:  # noqa: PLR2004 - outputs are compared between examples
            raise StudyError(f"remedy: {name}: needs two examples or more; given {len(split)}")
    if task.steps < 1:
        raise StudyError(f"remedy: steps: should be at least 1; given {task.steps}")


def split_off(data: Any) -> tuple[Split, Split]:
    """Read what a data function returns: (inputs, targets), or two such pairs.

    Of one pair the last fifth of the examples is the test.

    Returns:
        Training and test examples.

    Raises:
        StudyError: If it is something else.
    """
    pair = data if isinstance(data, Sequence) and len(data) == _PAIR else None
    if pair is None:
        raise StudyError(
            "remedy: --data: should return (inputs, targets), or (inputs, targets) of training and"
            f" of test; returned {type(data).__name__}"
        )
    if all(isinstance(part, tuple | list) and len(part) == _PAIR for part in pair):
        return Split(*pair[0]), Split(*pair[1])
    whole = Split(*pair)
    count = len(whole)
    return whole.rows(slice(0, count - count // 5)), whole.rows(slice(count - count // 5, None))
