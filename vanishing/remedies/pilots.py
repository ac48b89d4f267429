"""Short trainings with a change, which can go on from where they stopped."""

import math
import time
from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, enable_grad, nn
from torch.optim import Optimizer

from vanishing.errors import StudyError, in_one_line
from vanishing.gate.trials import MakeOptimizer
from vanishing.networks.undisturbed import seeded
from vanishing.remedies.changes import Change
from vanishing.remedies.task import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEEDED_APART = 2**31  # a piece of a training draws other numbers than the weights


class Hears(Protocol):
    """Whatever is told the loss of each step, as a watch is."""

    def loss(self, loss: Tensor) -> None:
        """Take the loss."""


def _optimizer(make: MakeOptimizer, learning: Sequence[nn.Parameter]) -> Optimizer:
    optimizer = make(learning)
    if not isinstance(optimizer, Optimizer):
        raise StudyError(
            f"remedy: optimizer: should return a torch.optim.Optimizer; returned {optimizer!r:.60}"
        )
    return optimizer


def _number(loss: object) -> float:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise StudyError(
            f"remedy: loop: should yield the loss, a tensor of one number; gave {loss!r:.60}"
        )
    return float(loss.detach())


class Pilot:
    """A training with a change, as far as it has come.

    Attributes:
        change: What is changed; None for the training as it is.
        model: The network, a copy.
        optimizer: Of its parameters.
        losses: Of the steps.
        scores: {steps: (examples,), the scores then}.

    Args:
        task: The training.
        change: What is changed.
        seed: Of the weights, and of the order of examples.

    Raises:
        NotApplicableError: If the change has nothing to work on.
    """

    def __init__(self, task: Task, change: Change | None, seed: int) -> None:
        self.change = change
        self.losses: list[float] = []
        self.scores: dict[int, NDArray[np.float64]] = {}
        self._task = task
        self._seed = seed
        self._seconds: list[float] = []
        with seeded(seed):
            self.model: nn.Module = task.new_model()
            self._first_loss = task.first_loss(self.model)
            if change is not None and change.alter:
                change.alter(self.model, task)
            make = task.make_optimizer
            if change is not None and change.optimize:
                make = change.optimize(make, task)
        learning = [p for p in self.model.parameters() if p.requires_grad]
        if not learning:
            raise StudyError("remedy: the network has no parameter that requires a gradient")
        self.optimizer = _optimizer(make, learning)
        self._steps = task.steps_of(self.model, self.optimizer, seed)

    @property
    def name(self) -> str:
        """Of the change."""
        return self.change.name if self.change else "the training as it is"

    @property
    def steps(self) -> int:
        """How many were asked for."""
        return max(self.scores, default=0)

    @property
    def parameters(self) -> int:
        """Number of parameters, in elements."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def seconds(self) -> float:
        """Per step, the median: steps that a watch traces take longer."""
        return median(self._seconds) if self._seconds else math.nan

    def advance(self, until: int, hears: Hears | None = None) -> None:
        """Train on, and score.

        Args:
            until: Steps in all; it has fewer where the loop ends.
            hears: Is told each loss.

        Raises:
            StudyError: If the network or the loop raises.
        """
        with seeded(self._seed + _SEEDED_APART + len(self.losses)):
            try:
                with enable_grad():
                    begun = time.perf_counter()
                    for loss in islice(self._steps, until - len(self.losses)):
                        if hears is not None:
                            hears.loss(loss)
                        self.losses.append(_number(loss))
                        now = time.perf_counter()
                        self._seconds.append(now - begun)
                        begun = now
            except (RuntimeError, ValueError, TypeError) as error:
                raise StudyError(f"remedy: {self.name}: {in_one_line(error)}") from error
            scores = self._task.evaluate(self.model, self._first_loss)
        self.scores[until] = scores.numpy(force=True)

    def level(self, steps: int) -> float:
        """Return the mean score after steps; -inf where it or the loss is not finite."""
        mean = float(self.scores[steps].mean())
        last = self.losses[min(steps, len(self.losses)) - 1] if self.losses else math.nan
        return mean if math.isfinite(mean) and math.isfinite(last) else -math.inf
