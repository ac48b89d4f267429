"""The public check of a network: `vanishing.assert_trains`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer

from vanishing.errors import StudyError
from vanishing.gate import trials
from vanishing.gate.checks import Bounds, find_failures, find_mentions
from vanishing.gate.failures import DoesNotTrainError
from vanishing.gate.source_lines import place_of

_RATE = 1e-3  # Adam's own default
_LEAST_STEPS = 2  # a zero-initialised branch has its gradient from the second step on
_PAIR = 2


def adam(parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Return Adam with a learning rate of 0.001."""
    return Adam(parameters, lr=_RATE)


def assert_trains(  # noqa: PLR0913 - keywords
    make_model: trials.MakeModel,
    batch: tuple[Any, Any],
    loss: trials.Loss,
    *,
    optimizer: trials.MakeOptimizer = adam,
    steps: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    fall: float = 0.02,
    gain: float = 0.05,
    attenuation: tuple[float, float] = (1e-8, 1e6),
    dead: float = 0.99,
) -> list[str]:
    """Fail if a network shows on one batch that it will not train.

    A network of the first seed is trained on the batch under `vanishing.watch`, until the loss L is
    half of the first and half of L' (see `answers`), or the steps are over. Networks of the other
    seeds go through one forward and backward pass. The checks:

    - finite: all losses and gradients are finite
    - connected: every parameter that requires a gradient gets one that is not 0, at some step, and
      is in the optimizer. `requires_grad=False` is on purpose, unless nothing else is left
    - dead units: in no layer nearly all activations (of modules such as `nn.ReLU`) are 0 at the end
    - dependence: after the steps, outputs differ between examples
    - attenuation: at initialisation rms(dL/dh) of every block's output h, over that of the last
      block's, is within bounds; the median over seeds. One of exactly 0 does not count, so that
      a zero-initialised branch or head passes
    - answers: (L' - L) / max(|L'|, |L|) is at least `gain`, with L the loss after the steps, and L'
      the loss if each example gets the output of the example before it. It does not apply where
      all targets are the same, there is one example, or the loss does not mind the order
    - loss: (L_first - L_last) / max(|L_first|, |L_last|) is at least `fall`, with L_last the mean
      of the last five losses

    Nothing else changes: not random states (torch's, NumPy's, Python's), not the batch, and not a
    model that make_model returns again and again.

    Args:
        make_model: Returns a new network; called once per seed, with torch, NumPy and Python
            seeded. A network keeps its modes: what is in `eval` stays so.
        batch: Inputs and targets. Inputs are a tensor, or a tuple or mapping of arguments; the
            first axis is that of examples.
        loss: Called with the outputs and the targets; returns one number.
        optimizer: Called with the list of parameters that require a gradient; returns an optimizer.
            What a loop does right before a step (clipping, warm-up) can be a hook on it,
            `register_step_pre_hook`.
        steps: Of the training at most, 2 or more.
        seeds: Of the weights.
        fall: Bound of the check `loss`.
        gain: Bound of the check `answers`.
        attenuation: Bounds of the check `attenuation`.
        dead: The share of dead units from which on a layer counts as dead.

    Returns:
        Remarks that are no failures: which parameters are frozen.

    Raises:
        DoesNotTrainError: An AssertionError: all checks that failed, the gravest first, each with
            the module, its line of source, the number, the bound and the reason. An argument that
            cannot be used is a StudyError.
    """
    __tracebackhide__ = True
    task = _checked(trials.Task(make_model, *_pair(batch), loss, optimizer), steps, seeds)
    bounds = Bounds(fall, gain, attenuation, dead)
    first = trials.train(task, seeds[0], steps)
    others = [trials.train(task, seed, 0) for seed in seeds[1:]] if first.run is not None else []
    mentions = find_mentions(first)
    failures = [
        replace(failure, place=place_of(first.model, failure.module, make_model))
        for failure in find_failures([first, *others], bounds)
    ]
    if failures:
        raise DoesNotTrainError(failures, mentions)
    return mentions


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != _PAIR:
        given = f"{len(batch)} items" if isinstance(batch, tuple | list) else type(batch).__name__
        raise StudyError(f"assert_trains: batch: should be (inputs, targets); given {given}")
    return batch[0], batch[1]


def _checked(task: trials.Task, steps: int, seeds: Sequence[int]) -> trials.Task:
    """Refuse arguments that cannot be used."""
    functions: Mapping[str, Any] = {
        "make_model": task.make_model,
        "loss": task.loss,
        "optimizer": task.make_optimizer,
    }
    for name, function in functions.items():
        if not callable(function) or isinstance(function, Optimizer):
            raise StudyError(
                f"assert_trains: {name}: should be a function; given {type(function).__name__}"
            )
    if isinstance(task.make_model, nn.Module):
        raise StudyError(
            "assert_trains: make_model: should be a function that returns a new network, such as"
            " its class or a lambda; given a network"
        )
    if steps < _LEAST_STEPS:
        raise StudyError(f"assert_trains: steps: should be 2 or more; given {steps}")
    if not seeds:
        raise StudyError("assert_trains: seeds: should have one or more; given none")
    return task
