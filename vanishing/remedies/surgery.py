"""How the copy of a network is changed: weights drawn anew, activations replaced, and so on.

Layers stay where they are, so that a network's own code still finds them: a normalisation, a skip
connection and a scaling of inputs are hooks.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from vanishing.networks.undisturbed import call, unchanged
from vanishing.recording.tensors import tensors
from vanishing.remedies.task import Split

Draw = Callable[[Tensor], object]  # fills a matrix or kernel in place

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_KEPT = (nn.Embedding, nn.EmbeddingBag, *_NORMS)
ACTIVATIONS = (
    *(nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.LogSigmoid, nn.Tanhshrink, nn.PReLU),
)
_BATCHED = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_LINEAR_AXES = 2
_LSUV_PASSES = 3
_LSUV_NEAR = 0.05
_NORM = "vanishing_norm"


class NotApplicableError(Exception):
    """A change has nothing to work on in a network; the message says why."""


class LayerCall(NamedTuple):
    """A call of a module.

    Attributes:
        name: Of the module.
        module: The module.
        inputs: Shape of its first input.
        outputs: Shape of its first output.
        std: Standard deviation of the output.
    """

    name: str
    module: nn.Module
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    std: float


def reinitialise(model: nn.Module, draw: Draw) -> None:
    """Draw the matrices and kernels of layers anew, those of gates one by one; biases become 0.

    Embeddings, normalisations, and whatever is frozen stay as they are.

    Args:
        model: Changed in place.
        draw: Fills a tensor of two dimensions or more.

    Raises:
        NotApplicableError: If no layer has weights that are trained.
    """
    drawn = 0
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _KEPT):
                continue
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad:
                    continue
                if "weight" in name and parameter.dim() > 1:
                    for part in parameter.chunk(_gates(module, name)):
                        draw(part)
                    drawn += 1
                elif "bias" in name:
                    parameter.zero_()
    if not drawn:
        raise NotApplicableError("no layer has weights that are trained")


def _gates(module: nn.Module, name: str) -> int:
    """Return how many matrices a parameter stacks."""
    if isinstance(module, nn.MultiheadAttention) and name == "in_proj_weight":
        return 3
    return {"LSTM": 4, "GRU": 3}.get(getattr(module, "mode", ""), 1)


def lsuv(model: nn.Module, batch: Split) -> None:
    """Draw orthogonal weights, and scale each layer so that its outputs have unit variance.

    Layer-sequential unit variance: Mishkin & Matas (2016). Linear and convolutional layers are
    scaled, in the order in which the forward pass calls them.
    """
    reinitialise(model, nn.init.orthogonal_)
    names = [c.name for c in calls(model, batch) if _is_linear(c.module)]
    for name in dict.fromkeys(names):
        weight = model.get_submodule(name).get_parameter("weight")
        if not weight.requires_grad:
            continue
        for _ in range(_LSUV_PASSES):
            std = next(c.std for c in calls(model, batch) if c.name == name)
            if not 0 < std < math.inf or abs(std - 1) < _LSUV_NEAR:
                break
            with torch.no_grad():
                weight.div_(std)


def replace_activations(model: nn.Module, make: Callable[[], nn.Module]) -> None:
    """Replace the activations that are modules.

    Args:
        model: Changed in place.
        make: Returns a new activation.

    Raises:
        NotApplicableError: If there is none, or all are of this kind.
    """
    kind = type(make())
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, ACTIVATIONS) and not isinstance(child, kind)
    ]
    if not places:
        has_any = any(isinstance(module, ACTIVATIONS) for module in model.modules())
        raise NotApplicableError(
            f"all activations are {kind.__name__} already"
            if has_any
            else "no activation is a module (functions cannot be replaced)"
        )
    for parent, name in places:
        setattr(parent, name, make())


def normalise(model: nn.Module, batch: Split, kind: str) -> None:
    """Put a normalisation behind each hidden linear or convolutional layer that has none.

    Args:
        model: Changed in place.
        batch: Passed through, to learn the order of the layers and their shapes.
        kind: `batch`, or `layer`: of convolutions a group normalisation with one group.

    Raises:
        NotApplicableError: If no layer lacks one, or could have one.
    """
    order = calls(model, batch)
    layers = [place for place, c in enumerate(order) if _is_linear(c.module)]
    count = 0
    for place in layers[:-1]:  # the last one gives the answer
        layer = order[place].module
        is_normalised = isinstance(order[place + 1].module, _NORMS)
        norm = None if is_normalised else _norm(kind, layer, order[place].outputs)
        if norm is None or _NORM in dict(layer.named_children()):
            continue
        weight = layer.get_parameter("weight")
        layer.add_module(_NORM, norm.to(weight.device, weight.dtype))
        layer.register_forward_hook(_normalised)
        count += 1
    if not count:
        raise NotApplicableError(
            "no hidden linear or convolutional layer lacks a normalisation, and could have one"
        )


def _norm(kind: str, layer: nn.Module, shape: Sequence[int]) -> nn.Module | None:
    """Make the normalisation of a layer's outputs; None where there is none of the kind."""
    is_convolution = isinstance(layer, _ConvNd)
    if kind == "layer":
        return nn.GroupNorm(1, shape[1]) if is_convolution else nn.LayerNorm(shape[-1])
    if shape[0] < 2 or (not is_convolution and len(shape) != _LINEAR_AXES):  # noqa: PLR2004
        return None  # statistics over one example, or over the steps of a sequence
    return _BATCHED[len(shape)](shape[1])


def _normalised(module: nn.Module, _inputs: Any, outputs: Tensor) -> Any:
    return module.get_submodule(_NORM)(outputs)


def add_skips(model: nn.Module, batch: Split) -> None:
    """Add its input to the output of what is between, where the shapes agree.

    Looked at are the items of `nn.Sequential`, which has no other paths: a layer with an activation
    behind it, with or without a normalisation between; and a block that holds layers and has no
    skip connection of its own.

    Raises:
        NotApplicableError: If there is no such layer.
    """
    shapes = {id(c.module): c for c in calls(model, batch, _items(model))}
    count = 0
    for parent in model.modules():
        if not isinstance(parent, nn.Sequential):
            continue
        children = list(parent)
        for place, first in enumerate(children):
            last = _activation_behind(children, place) if _is_linear(first) else first
            if last is None or id(first) not in shapes or id(last) not in shapes:
                continue
            shape = shapes[id(first)].inputs
            if shape and shape == shapes[id(last)].outputs and _is_chain(first, shape):
                skip = _Skip()
                first.register_forward_pre_hook(skip.keep)
                last.register_forward_hook(skip.add)
                count += 1
    if not count:
        raise NotApplicableError(
            "no layer with its activation, and no block without a skip, in an nn.Sequential has"
            " outputs of the shape of its inputs"
        )


def _items(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that stand in an `nn.Sequential`."""
    return {
        f"{name}.{item}": child
        for name, module in model.named_modules()
        if isinstance(module, nn.Sequential)
        for item, child in module.named_children()
    }


def _is_chain(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Tell whether a layer, or a block, has weights and no path around them.

    With all weights 0 the outputs of a block depend on the input only if a path leads around them.

    Returns:
        Whether it is such a chain.
    """
    if _is_linear(module):
        return True
    if not any(map(_is_linear, module.modules())):
        return False
    block = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in block.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
        like = next(block.parameters())
        inputs = torch.linspace(-1, 1, math.prod(shape), device=like.device, dtype=like.dtype)
        try:
            one, other = block(inputs.reshape(shape)), block(-inputs.reshape(shape))
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False  # of other arguments
    return isinstance(one, Tensor) and torch.equal(one, other)


def _activation_behind(children: Sequence[nn.Module], place: int) -> nn.Module | None:
    for child in children[place + 1 : place + 3]:
        if isinstance(child, ACTIVATIONS):
            return child
        if not isinstance(child, _NORMS):
            return None
    return None


class _Skip:
    """Carries the input of a layer to the output of its activation."""

    def __init__(self) -> None:
        self._input: Tensor | None = None

    def keep(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._input = inputs[0]

    def add(self, _module: nn.Module, _inputs: Any, outputs: Tensor) -> Tensor:
        before, self._input = self._input, None
        return outputs if before is None else outputs + before


def scale_inputs(model: nn.Module, inputs: Any) -> None:
    """Take the mean from the inputs, and divide by the standard deviation, of all together.

    Args:
        model: Changed in place.
        inputs: Of all training examples.

    Raises:
        NotApplicableError: If they are scaled already, or cannot be.
    """
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise NotApplicableError("inputs are no floating-point tensor")
    values = inputs.double()
    mean, std = float(values.mean()), float(values.std())
    if not 0 < std < math.inf:
        raise NotApplicableError(f"the inputs' standard deviation is {std:g}")
    if abs(mean) < 1 and 1 / 3 < std < 3:  # noqa: PLR2004 - near enough to 0 and 1
        raise NotApplicableError(f"inputs have mean {mean:.2g} and std {std:.2g} already")

    def scaled(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (arguments[0] - mean) / std, *arguments[1:]

    model.register_forward_pre_hook(scaled)


def calls(
    model: nn.Module, batch: Split, watched: Mapping[str, nn.Module] | None = None
) -> list[LayerCall]:
    """Pass a batch, and note the calls of modules.

    Buffers, such as running statistics, are afterwards as they were.

    Args:
        model: The network.
        batch: What is passed.
        watched: {name: module}; None for those that have no modules in them.

    Returns:
        The calls, in their order.
    """
    order: list[LayerCall] = []
    with unchanged(model), ExitStack() as stack:
        for name, module in (_leaves(model) if watched is None else watched).items():
            stack.callback(module.register_forward_hook(_noting(name, order)).remove)
        with torch.no_grad():
            call(model, batch.inputs)
    return order


def _leaves(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if not any(key != _NORM for key, _ in module.named_children()) and not name.endswith(_NORM)
    }


def _noting(name: str, order: list[LayerCall]) -> Callable[..., None]:
    def note(module: nn.Module, inputs: Any, outputs: Any) -> None:
        given = next((tuple(t.shape) for t in tensors(inputs)), ())
        first = next(iter(tensors(outputs)), None)
        if first is not None:
            std = float(first.double().std()) if first.is_floating_point() else math.nan
            order.append(LayerCall(name, module, given, tuple(first.shape), std))

    return note


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | _ConvNd)
