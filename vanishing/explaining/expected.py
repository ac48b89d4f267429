"""The value that theory has for a factor: of weights, an activation, a normalisation, a join.

All is for a gradient δ whose elements have one variance and do not depend on the factor. Where δ is
not like that, the measured value differs, which is a finding of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from vanishing.activations import ACTIVATIONS
from vanishing.explaining.graph import Node

_REACH = 12  # standard deviations, as in `theory.meanfield`
_STEPS_PER_UNIT = 1024  # with which a jump of φ' is off by 2e-4 of the density at it
_MATRIX_AXES = 2


class Expected(NamedTuple):
    """Theory's value of a factor.

    Attributes:
        value: The factor; NaN where there is no theory.
        bound: That it cannot exceed; NaN where there is none.
        reason: Why there is no theory; empty where there is.
    """

    value: float = math.nan
    bound: float = math.nan
    reason: str = ""


Expectation = Callable[[], Expected]
_BOUNDS = {
    activation.module.lower(): max(map(abs, activation.derivative_bounds))
    for activation in ACTIVATIONS.values()
}
_ELEMENTWISE = frozenset(
    [
        *("sigmoid", "tanh", "relu", "silu", "gelu", "elu", "selu", "celu"),
        *("leaky_relu", "softplus", "hardtanh", "relu6", "hardswish", "hardsigmoid"),
        *("mish", "logsigmoid", "softsign"),
    ]
)


def of_function(
    function: Any, arguments: Sequence[Any], options: Mapping[str, Any]
) -> Expectation | None:
    """Return how to compute the factor of a function of torch that is about to be called.

    An activation φ: √E[φ'(z)²] with z normal, of the mean and variance that its input has.
    A layer or group normalisation: √(mean over groups of 1 / (σ² + ε)) · rms(γ) · √(1 - 2/n) of
    groups of n elements, as two directions of a group get no gradient. A batch normalisation:
    √(mean over channels of γ² / (σ² + ε)), in training times √(1 - 2/n) too.

    Args:
        function: The function.
        arguments: By position.
        options: By name.

    Returns:
        A function without arguments, None of functions without theory. It may be called when the
        forward pass has ended, for it may need a graph of its own.
    """
    name = str(getattr(function, "__name__", "")).rstrip("_")
    if name in _ELEMENTWISE:
        z = arguments[0] if arguments else options["input"]
        with torch.no_grad():
            values = z.detach().double()
            moments = float(values.mean()), float(values.std(correction=0))
        rest = {key: option for key, option in options.items() if key != "input"}
        return partial(
            _of_activation, partial(_apply, function, arguments[1:], rest), name, moments
        )
    if name in _NORMALISATIONS:
        with torch.no_grad():
            return partial(Expected, _NORMALISATIONS[name](*arguments, **options))
    return None


def _apply(function: Any, rest: Sequence[Any], options: Mapping[str, Any], z: Tensor) -> Tensor:
    result: Tensor = function(z, *rest, **options)
    return result


def _of_activation(
    function: Callable[[Tensor], Tensor], name: str, moments: tuple[float, float]
) -> Expected:
    mean, std = moments
    u = torch.linspace(-_REACH, _REACH, 2 * _REACH * _STEPS_PER_UNIT + 1, dtype=torch.float64)
    with torch.enable_grad():
        z = (mean + std * u).requires_grad_()
        (slope,) = torch.autograd.grad(function(z.clone()).sum(), z)
    density = torch.exp(-u.square() / 2)
    value = math.sqrt(float((density * slope.square()).sum() / density.sum()))
    return Expected(value, _BOUNDS.get(name, math.nan))


def _layer_norm(
    input: Tensor,  # noqa: A002 - torch's name
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> float:
    del bias
    groups = input.detach().double().flatten(-len(normalized_shape))
    return _of_groups(groups, weight, eps)


def _group_norm(
    input: Tensor,  # noqa: A002 - torch's name
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> float:
    del bias
    return _of_groups(input.detach().double().reshape(len(input), num_groups, -1), weight, eps)


def _of_groups(groups: Tensor, weight: Tensor | None, eps: float) -> float:
    size = groups.shape[-1]
    inverse = (1 / (groups.var(-1, correction=0) + eps)).mean()
    square = 1.0 if weight is None else float(weight.detach().double().square().mean())
    return math.sqrt(max(0.0, float(inverse) * square * (1 - 2 / size)))


def _batch_norm(  # noqa: PLR0913, PLR0917 - torch's
    input: Tensor,  # noqa: A002 - torch's name
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> float:
    del running_mean, bias, momentum
    channels = input.detach().double().transpose(0, 1).flatten(1)
    share = 1.0
    if training or running_var is None:
        variance = channels.var(1, correction=0)
        share = 1 - 2 / channels.shape[1]
    else:
        variance = running_var.detach().double()
    square = 1.0 if weight is None else weight.detach().double().square()
    return math.sqrt(max(0.0, share * float((square / (variance + eps)).mean())))


_NORMALISATIONS: dict[str, Callable[..., float]] = {
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
}


def of_weights(
    weight: Tensor | None, node: Node, output: Sequence[int], before: Sequence[int]
) -> Expected:
    """Return the factor of a linear or convolutional layer's weights: √(n·mean(W²)).

    n is the number of weights that the gradient of one element of the input is a sum over: the
    outputs of a linear layer, and of a convolution its output channels (of a group) times the
    positions of the kernel that lie within the image, on average.

    Args:
        weight: W, None if it is not known.
        node: The operation.
        output: Shape of its output.
        before: Shape of its input.

    Returns:
        Theory's value.
    """
    if weight is None or weight.is_sparse:
        return Expected(reason="its weights are not known")
    square = float(weight.detach().double().square().mean())
    if weight.dim() > _MATRIX_AXES or hasattr(node, "_saved_transposed"):
        return Expected(math.sqrt(square * _convolution_terms(weight, node, output, before)))
    ratio = math.prod(output) / math.prod(before)  # that of the layer's outputs and inputs
    return Expected(math.sqrt(square * math.sqrt(weight.numel() * ratio)))


def _convolution_terms(
    weight: Tensor, node: Node, output: Sequence[int], before: Sequence[int]
) -> float:
    """Return over how many weights the gradient of an element of the input is a sum, on average."""
    transposed = node._saved_transposed
    wide, narrow = (before, output) if transposed else (output, before)
    pairs = 1.0
    for axis, size in enumerate(weight.shape[2:]):
        geometry = node._saved_stride[axis], node._saved_padding[axis], node._saved_dilation[axis]
        stride, padding, dilation = map(int, geometry)
        places = torch.arange(wide[2 + axis])[:, None] * stride - padding
        places = places + torch.arange(size) * dilation
        within = (places >= 0) & (places < narrow[2 + axis])
        pairs *= float(within.sum()) / before[2 + axis]
    channels = weight.shape[1] if transposed else weight.shape[0] / int(node._saved_groups)
    return channels * pairs


def of_paths(gains: Sequence[float]) -> Expected:
    """Return the factor of a join whose paths' gradients are uncorrelated: √Σ gain²."""
    return Expected(math.sqrt(sum(gain**2 for gain in gains)))


def of_module(module: nn.Module) -> Tensor | None:
    """Return the weight of a layer whose parameters are frozen, so that the graph has none."""
    is_plain = isinstance(module, nn.Linear | _ConvNd)
    return module._parameters.get("weight") if is_plain else None
