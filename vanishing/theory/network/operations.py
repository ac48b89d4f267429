"""Functions, methods and modules without weights, as steps of mean-field theory.

Each has a handler that takes the arguments of the call, in which states stand for tensors, and
returns what the call returns. What has no handler has no recursion.
"""

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from vanishing.activations import ACTIVATIONS, Activation
from vanishing.theory.network import recursions
from vanishing.theory.network.recursions import NoTheoryError, State

Arguments = tuple[Any, ...]
Options = Mapping[str, Any]
_Handler = Callable[[Arguments, Options], Any]

ACTIVATION_MODULES: dict[type[nn.Module], Activation] = {
    getattr(nn, activation.module): activation for activation in ACTIVATIONS.values()
}
_NOTHING_HERE = "it has no recursion here"
_CORRELATED = "the variance of a mean depends on correlations, which are not followed"
_MAXIMUM = "the largest of several values depends on their correlations, which are not followed"
_GATES = "gates multiply activations by each other; no closed recursion is used"
_REASONS: dict[type[nn.Module] | tuple[type[nn.Module], ...], str] = {
    nn.modules.batchnorm._BatchNorm: (
        "batch normalization couples the examples of a batch; no closed recursion is used"
    ),
    (nn.LSTM, nn.GRU): _GATES,
    (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d): _MAXIMUM,
    (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer): (
        "attention multiplies activations by each other; no closed recursion is used"
    ),
    nn.modules.dropout._DropoutNd: "dropout draws anew at each pass",
}


def known_reason(module: nn.Module) -> str | None:
    """Say why there is no recursion for a module's kind; None for any other kind."""
    return next((text for kinds, text in _REASONS.items() if isinstance(module, kinds)), None)


def reason(module: nn.Module) -> str:
    """Say why there is no recursion for a module."""
    return known_reason(module) or f"{type(module).__name__} has no recursion here"


def pass_module(module: nn.Module, state: State) -> Any:
    """Pass a state through a module that is no weight layer and no activation.

    Returns:
        What it returns, with states for tensors.

    Raises:
        NoTheoryError: If it has no recursion.
    """
    if isinstance(module, nn.LayerNorm):
        return recursions.normalize(state, module)
    if isinstance(module, nn.modules.dropout._DropoutNd) and not (module.training and module.p):
        return state
    if isinstance(module, _MOVING_MODULES):
        return _move(module, (state,), {})
    if isinstance(module, _ADAPTIVE_POOLS):
        return _average(module, (state,), {})
    if isinstance(module, _POOLS):
        if _sizes(module.kernel_size) != _sizes(module.stride) or any(_sizes(module.padding)):
            raise NoTheoryError("its windows overlap or are padded")
        return _average(module, (state,), {})
    raise NoTheoryError(reason(module))


def pass_function(function: Any, arguments: Arguments, options: Options) -> Any:
    """Pass states through a function.

    Returns:
        What it returns, with states for tensors.

    Raises:
        NoTheoryError: If it has no recursion.
    """
    if function not in _FUNCTIONS:
        raise NoTheoryError(_NOTHING_HERE)
    return _FUNCTIONS[function](arguments, options)


def pass_method(name: str, arguments: Arguments, options: Options) -> Any:
    """Pass states through a method of tensors; the first argument is the tensor.

    Returns:
        What it returns, with states for tensors.

    Raises:
        NoTheoryError: If it has no recursion.
    """
    if name not in _METHODS:
        raise NoTheoryError(_NOTHING_HERE)
    return _METHODS[name](arguments, options)


def states_in(arguments: Arguments, options: Options) -> list[State]:
    """Return all states among arguments, within lists and tuples too."""
    states: list[State] = []

    def keep(value: Any) -> Any:
        if isinstance(value, State):
            states.append(value)
        return value

    fx.node.map_aggregate((arguments, dict(options)), keep)
    return states


def _activate(activation: Activation, arguments: Arguments, options: Options) -> State:  # noqa: ARG001 - `inplace`
    return recursions.activate(arguments[0], activation)


def _add(sign: int, arguments: Arguments, options: Options) -> State:
    left, right = arguments
    if options:
        raise NoTheoryError("it adds a multiple")
    if isinstance(left, State) and isinstance(right, State):
        return recursions.add(left, right, sign)
    if isinstance(left, State):
        return recursions.shift(left, sign * _number(right))
    return recursions.shift(recursions.scale(right, sign), _number(left))


def _multiply(arguments: Arguments, options: Options) -> State:
    if options:
        raise NoTheoryError(_NOTHING_HERE)
    left, right = arguments
    state, factor = (left, right) if isinstance(left, State) else (right, left)
    return recursions.scale(state, _number(factor))


def _divide(arguments: Arguments, options: Options) -> State:
    left, right = arguments
    if options or not isinstance(left, State):
        raise NoTheoryError(_NOTHING_HERE)
    return recursions.scale(left, 1 / _number(right))


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise NoTheoryError("it combines activations with each other, or with a tensor")
    return float(value)


def _average(function: Callable[..., Any], arguments: Arguments, options: Options) -> State:
    """Pass means of equally many elements each, none of which is in two of them."""
    state, *others = arguments

    def mean(tensor: Tensor) -> Tensor:
        means: Tensor = function(tensor, *others, **options)
        return means

    before, after = state.square.shape, mean(state.square.detach()).shape
    aligned = zip(before, after, strict=True) if len(before) == len(after) else ()
    if any(size % to for size, to in aligned):
        raise NoTheoryError("its windows overlap, or leave elements out")
    return recursions.average(state, mean, before.numel() // after.numel(), _CORRELATED)


def _pad(arguments: Arguments, options: Options) -> Any:
    names = ("input", "pad", "mode", "value")
    given = dict(zip(names, arguments, strict=False)) | dict(options)
    if given.get("mode", "constant") != "constant" or given.get("value"):
        raise NoTheoryError("it pads with something else than zeros")
    return _move(functional.pad, arguments, options)


def _dropout(arguments: Arguments, options: Options) -> State:
    given = dict(zip(("input", "p", "training"), arguments, strict=False)) | dict(options)
    if given.get("training", True) and given.get("p", 0.5):
        raise NoTheoryError("dropout draws anew at each pass")
    state: State = arguments[0]
    return state


def _move(function: Callable[..., Any], arguments: Arguments, options: Options) -> Any:
    """Apply a function that only moves elements."""

    def move(tensors: Any) -> Any:
        remaining = iter(tensors)
        replaced: Any = fx.node.map_aggregate(
            (arguments, dict(options)),
            lambda value: next(remaining) if isinstance(value, State) else value,
        )
        return function(*replaced[0], **replaced[1])

    return recursions.rearrange(states_in(arguments, options), move)


def _shape(name: str, arguments: Arguments, options: Options) -> Any:
    return getattr(arguments[0].square, name)(*arguments[1:], **options)


def _attribute(arguments: Arguments, options: Options) -> Any:  # noqa: ARG001 - getattr has none
    state, name = arguments
    if name not in ("shape", "ndim"):
        raise NoTheoryError(f"{name} of a tensor")
    return getattr(state.square, name)


def _sizes(size: Any) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, tuple | list) else (size,) * 3


_MOVING_MODULES = (
    nn.Flatten, nn.Unflatten, nn.Identity, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d,
)  # fmt: skip
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_MOVING = (
    "chunk", "flatten", "movedim", "narrow", "permute", "reshape", "select", "split", "squeeze",
    "swapaxes", "transpose", "unbind", "unflatten", "unsqueeze",
)  # fmt: skip
_ACTIVATIONS = {
    activation.module.lower() + ending: activation
    for activation in ACTIVATIONS.values()
    for ending in ("", "_")
}
_METHODS: dict[str, _Handler] = {
    **{name: partial(_activate, activation) for name, activation in _ACTIVATIONS.items()},
    **{name: partial(_move, getattr(Tensor, name)) for name in (*_MOVING, "contiguous")},
    "view": partial(_move, Tensor.reshape),  # a state may be expanded, which no view can be of
    "mean": partial(_average, torch.mean),
    "size": partial(_shape, "size"),
    "dim": partial(_shape, "dim"),
    **dict.fromkeys(("add", "add_"), partial(_add, 1)),
    **dict.fromkeys(("sub", "sub_"), partial(_add, -1)),
    **dict.fromkeys(("mul", "mul_"), _multiply),
    **dict.fromkeys(("div", "div_"), _divide),
}
_FUNCTIONS: dict[Any, _Handler] = {
    **{
        getattr(library, name): partial(_activate, activation)
        for name, activation in _ACTIVATIONS.items()
        for library in (torch, functional)
        if hasattr(library, name)
    },
    **{function: partial(_move, function) for function in (getattr(torch, n) for n in _MOVING)},
    **{
        function: partial(_move, function)
        for function in (torch.cat, torch.concat, torch.stack, operator.getitem)
    },
    **{
        function: partial(_average, function)
        for function in (
            torch.mean,
            functional.adaptive_avg_pool1d,
            functional.adaptive_avg_pool2d,
            functional.adaptive_avg_pool3d,
        )
    },
    **dict.fromkeys((operator.add, operator.iadd, torch.add), partial(_add, 1)),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub), partial(_add, -1)),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul), _multiply),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div), _divide),
    functional.pad: _pad,
    functional.dropout: _dropout,
    getattr: _attribute,
}
