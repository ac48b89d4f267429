"""What a watch says of steps beyond their trace, as columns without `variant` and `seed`."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishing.recording.optimizer_steps import Step, TracedStep
from vanishing.recording.step_tables import Columns, Names


def parameters(optimizer: str, steps: Iterable[TracedStep], names: Names) -> list[Columns]:
    """Return the columns of the states of parameters, in pieces of one step."""
    return [_parameters(optimizer, step, names) for step in steps]


def _parameters(optimizer: str, step: TracedStep, names: Names) -> Columns:
    named = [names[parameter] for parameter in step.states]
    return {
        "optimizer": [optimizer] * len(named),
        "step": [step.number] * len(named),
        "group": [group for group, _ in step.states.values()],
        "layer_index": [name.layer_index for name in named],
        "layer": [name.layer for name in named],
        "parameter": [name.leaf for name in named],
        "gradient": [gradient for _, gradient in step.states.values()],
    }


def steps(optimizer: str, taken: Sequence[Step]) -> Columns:
    """Return the columns of steps, a row per step and parameter group; reads the devices."""
    rows = [(step, group) for step in taken for group in step.rates]
    skipped = read([step.skipped for step in taken])
    norms = read([math.nan if step.norm is None else step.norm for step in taken])
    rates = read([rate for step in taken for rate in step.rates.values()])
    repeats = [len(step.rates) for step in taken]
    return {
        "optimizer": [optimizer] * len(rows),
        "step": [step.number for step, _ in rows],
        "group": [group for _, group in rows],
        "traced": [step.traced for step, _ in rows],
        "skipped": np.repeat(skipped != 0, repeats),
        "norm_before_clipping": [
            None if step.norm is None else norm
            for step, norm in zip(taken, norms.tolist(), strict=True)
            for _ in step.rates
        ],
        "learning_rate": rates,
    }


def losses(batches: Mapping[int, Sequence[Tensor | float]]) -> Columns:
    """Return the columns of losses: the mean of each step's micro-batches; reads the devices.

    Args:
        batches: {step: the losses that belong to it}.
    """
    values = read([loss for group in batches.values() for loss in group])
    ends = np.cumsum([len(group) for group in batches.values()])
    means = [group.mean() for group in np.split(values, ends)[:-1]]
    return {
        "epoch": [None] * len(batches),  # a loop does not say
        "step": list(batches),
        "loss": means,
    }


def read(values: Sequence[Tensor | float]) -> NDArray[np.float64]:
    """Return numbers as float64, those on a device copied from it at once."""
    numbers = np.empty(len(values))
    by_device: dict[torch.device, dict[int, Tensor]] = {}
    for index, value in enumerate(values):
        if isinstance(value, Tensor):
            scalar = value.detach().reshape(()).double()
            by_device.setdefault(value.device, {})[index] = scalar
        else:
            numbers[index] = value
    for scalars in by_device.values():
        numbers[list(scalars)] = torch.stack(list(scalars.values())).cpu().numpy()
    return numbers
