"""What a training loop calls when a tool watches it, and what the tool says afterwards."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

Records = dict[int, dict[str, tuple[float, ...]]]  # {step: {name: the numbers of its statistic}}


class Quantity(NamedTuple):
    """What a tool's record says of a gradient.

    Attributes:
        subject: `parameter`: dL/dW of a parameter, which is what an optimizer uses. `output`: the
            gradient of the loss with respect to a module's output, over the whole batch.
        statistic: `norm`, one number, or `range`, the smallest and the largest element.
    """

    subject: Literal["parameter", "output"]
    statistic: Literal["norm", "range"]


class Watcher(AbstractContextManager["Watcher", None]):
    """A tool that watches a loop, used as its documentation says.

    A loop calls `before_step` after backward and clipping, right before `optimizer.step()`, and
    `after_step` right after it. A step that is not recorded is missing in `records`; of several
    records of a step the last counts.

    Args:
        model: What is trained.
        optimizers: What trains it.
        folder: Where the tool may write.
        every: Of how many steps one is recorded; a tool without this setting records all.

    Attributes:
        quantity: What its records say.
        step: The number of the step that comes, from 1 on.
    """

    quantity = Quantity("parameter", "norm")

    def __init__(
        self, model: nn.Module, optimizers: Sequence[Optimizer], folder: Path, every: int = 1
    ) -> None:
        self.model = model
        self.optimizers = optimizers
        self.folder = folder
        self.every = every
        self.step = 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the watch; `records` comes after it."""

    def before_step(self, part: nn.Module, prefix: str = "") -> None:
        """See the gradients before a step.

        Args:
            part: The module whose parameters the step changes.
            prefix: Of the part's names within the model, with a dot.
        """

    def after_step(self, loss: Tensor) -> None:  # noqa: ARG002
        """Count the step."""
        self.step += 1

    def records(self) -> Records:
        """Read what the tool recorded; a plain loop has no records."""
        return {}
