"""How a network attenuates its gradient at initialisation, over seeds: no training is needed."""

import math
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vanishing.networks.undisturbed import call, copied, seeded
from vanishing.recording.layers import weight_layers
from vanishing.recording.tensors import tensors
from vanishing.remedies.changes import Change
from vanishing.remedies.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable


def attenuation(task: Task, change: Change | None, seeds: int) -> float:
    """Measure how far the gradient of layers is from that of the last one, at initialisation.

    Of one initialisation that is log10(rms(dL/dz) of a layer / rms(dL/dz) of the last layer), with
    L the loss of the first batch and z a layer's output, for the layer furthest from 0.

    Args:
        task: The training.
        change: What is changed; None for the network as it is.
        seeds: How many initialisations.

    Returns:
        Decades, the median over seeds: negative where the gradient vanishes, -inf where none comes;
        NaN of a network with one layer, or a gradient that is not finite.
    """
    return median(_of_seed(task, change, seed) for seed in range(seeds))


def _of_seed(task: Task, change: Change | None, seed: int) -> float:
    with seeded(seed):
        model = task.new_model()
        if change is not None and change.alter:
            change.alter(model, task)
        return _furthest(_gradients(model, task))


def _gradients(model: nn.Module, task: Task) -> list[float]:
    """Return rms(dL/dz) of weight layers, in the order in which the forward pass calls them."""
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, given: Any) -> None:
        output = next(iter(tensors(given)), None)
        if output is not None and output.requires_grad and output.is_floating_point():
            outputs.append(output)

    with ExitStack() as stack:
        hook: Callable[..., None] = keep
        for layer in weight_layers(model).values():
            stack.callback(layer.register_forward_hook(hook).remove)
        batch = task.batch
        with torch.enable_grad():
            loss = task.loss(call(model, batch.inputs), copied(batch.targets))
            if not loss.requires_grad or not outputs:
                return []
            gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
    return [
        0.0 if gradient is None else float(gradient.double().square().mean().sqrt())
        for gradient in gradients
    ]


def _furthest(rms: list[float]) -> float:
    if len(rms) < 2 or not all(map(math.isfinite, rms)) or not rms[-1]:  # noqa: PLR2004
        return math.nan
    decades = [math.log10(value / rms[-1]) if value else -math.inf for value in rms[:-1]]
    return max(decades, key=abs)
