"""Short trainings of new networks on one batch, watched, which leave nothing behind.

In: what `assert_trains` is given. Out: a `Trial`, whose run has the tables of `vanishing.watch`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from vanishing.errors import StudyError
from vanishing.judging.runs import Run, load_run
from vanishing.networks.steps import take_step
from vanishing.networks.undisturbed import (
    call,
    copied,
    map_tensors,
    seed_all,
    seeded,
    unchanged,
)
from vanishing.recorder import watch
from vanishing.recording.tensors import tensors
from vanishing.stats.answers import dependence

MakeModel = Callable[[], nn.Module]
Loss = Callable[[Any, Any], Tensor]
MakeOptimizer = Callable[[Sequence[nn.Parameter]], Optimizer]

_EVERY = 20  # steps: these are traced, and then the training may end
_ENOUGH = 0.5  # of the first loss, and of the loss with another example's output
_LAST = 5  # losses that are that low
_STEPS_SEEDED = 2**31  # the seed of the steps is not that of the weights


@dataclass(frozen=True)
class Task:
    """What is trained, on what.

    Attributes:
        make_model: Returns a network.
        inputs: A tensor; a tuple or a mapping of arguments.
        targets: As the loss takes them.
        loss: Of outputs and targets; returns one number.
        make_optimizer: Of the parameters that require a gradient.
    """

    make_model: MakeModel
    inputs: Any
    targets: Any
    loss: Loss
    make_optimizer: MakeOptimizer


@dataclass(frozen=True)
class Answer:
    """A pass of the batch without dropout and without a gradient.

    Attributes:
        loss: Its loss.
        rolled_loss: The loss if each example got the output of the one before; NaN of one example,
            where all have one target, and of outputs that have no axis of examples.
        dependence: The share of the outputs' differences that depends on the example, as
            `stats.answers.dependence` has it, of all floating-point outputs with one row per
            example; NaN where there is none, of one example, or where all outputs are 0.
    """

    loss: float
    rolled_loss: float
    dependence: float


@dataclass(frozen=True)
class Trial:
    """A short training.

    Attributes:
        model: The network, as it was before.
        seed: Of its weights.
        losses: Of the steps; empty where no parameter gets a gradient.
        before: The answer before the first step; None where nothing was trained.
        after: The answer after the last step, likewise.
        run: What the watch recorded; None where no parameter gets a gradient.
        not_held: Names of parameters that require a gradient and are not in the optimizer.
    """

    model: nn.Module
    seed: int
    losses: tuple[float, ...] = ()
    before: Answer | None = None
    after: Answer | None = None
    run: Run | None = None
    not_held: tuple[str, ...] = ()


class _Standstill(Optimizer):
    """Takes steps that change nothing: a watch records gradients at an optimizer's steps."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 0.0})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change nothing."""


def train(task: Task, seed: int, steps: int) -> Trial:
    """Make a network, and train it on the batch for some steps.

    Python's, NumPy's and torch's random states are afterwards as they were, and so are the
    parameters, buffers, `grad` and hooks of the network, should somebody hold it.

    Args:
        task: What, and on what.
        seed: Of the weights and of dropout.
        steps: Of the optimizer, at most: a training ends earlier, after a multiple of 20 steps, if
            the loss is half of the first, and half of what it is with another example's output; 0
            for the gradients at initialisation alone.

    Returns:
        The trial.

    Raises:
        StudyError: If make_model, optimizer or loss return something else than they should.
    """
    with seeded(seed), torch.enable_grad():
        model = task.make_model()
        if not isinstance(model, nn.Module):
            raise StudyError(
                f"assert_trains: make_model: should return an nn.Module; returned {model!r:.60}"
            )
        if any(map(is_lazy, model.parameters())):
            _initialise_lazy(model, task)
        seed_all(seed + _STEPS_SEEDED)
        with unchanged(model):
            return _train(model, task, seed, steps)


def _train(model: nn.Module, task: Task, seed: int, steps: int) -> Trial:
    learning = [p for p in model.parameters() if p.requires_grad]
    if not learning or not _loss(model, task).requires_grad:
        return Trial(model, seed)
    optimizer = task.make_optimizer(learning) if steps else _Standstill(learning)
    if not isinstance(optimizer, Optimizer):
        raise StudyError(
            "assert_trains: optimizer: should return a torch.optim.Optimizer; returned"
            f" {optimizer!r:.60}"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    not_held = tuple(
        name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held
    )
    before = answer(model, task) if steps else None
    losses = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gate"
        with watch(model, optimizer, folder=path, every=_EVERY, mlflow=False) as watching:
            for step in range(1, max(1, steps) + 1):
                loss = take_step(optimizer, lambda: _loss(model, task))
                watching.loss(loss)
                losses.append(loss)
                if step % _EVERY == 0 and _is_enough(model, task, losses):
                    break
        run = load_run(path)
    numbers = tuple(float(loss) for loss in losses)
    after = answer(model, task) if steps else None
    return Trial(model, seed, numbers, before, after, run, not_held)


def _is_enough(model: nn.Module, task: Task, losses: Sequence[Tensor]) -> bool:
    """Tell whether more steps would show nothing else: the batch is being learned."""
    most = _ENOUGH * float(losses[0])
    if not all(0 <= float(loss) <= most for loss in losses[-_LAST:]):
        return False
    now = answer(model, task)
    return not now.loss > _ENOUGH * now.rolled_loss  # which may be NaN


def answer(model: nn.Module, task: Task) -> Answer:
    """Send the batch through a network, with dropout switched off."""
    dropouts = [m for m in model.modules() if isinstance(m, _DropoutNd) and m.training]
    with torch.no_grad():
        for module in dropouts:
            module.training = False
        outputs = call(model, task.inputs)
        for module in dropouts:
            module.training = True
        examples = _count_examples(task.inputs)
        rows = [
            output.flatten(1)
            for output in tensors(outputs)
            if output.dim() and 1 < len(output) == examples and output.is_floating_point()
        ]
        loss = float(task.loss(outputs, copied(task.targets)))
        rolled = float("nan")
        if rows and not _is_constant(task.targets, examples):
            moved = map_tensors(
                outputs, lambda t: t.roll(1, 0) if t.dim() and len(t) == examples else t
            )
            rolled = float(task.loss(moved, copied(task.targets)))
        shares = [float(dependence(row)) for row in rows]
    known = [share for share in shares if share == share]  # noqa: PLR0124 - not NaN
    return Answer(loss, rolled, max(known, default=float("nan")))


def _loss(model: nn.Module, task: Task) -> Tensor:
    loss = task.loss(call(model, task.inputs), copied(task.targets))
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{loss!r:.60}"
        raise StudyError(f"assert_trains: loss: should return one number, a tensor; given {shape}")
    return loss


def _is_constant(targets: Any, examples: int) -> bool:
    """Tell whether all examples have one target, so that no other output would suit them less."""
    rows = [t for t in tensors(targets) if t.dim() and len(t) == examples]
    return bool(rows) and all(torch.equal(t, t.roll(1, 0)) for t in rows)


def _count_examples(inputs: Any) -> int:
    """Return the length of the first axis of the first tensor; 0 where there is none."""
    return next((len(tensor) for tensor in tensors(inputs) if tensor.dim()), 0)


def _initialise_lazy(model: nn.Module, task: Task) -> None:
    """Give lazy layers their shapes."""
    with torch.no_grad():
        call(model, task.inputs)
