"""Weight layers as steps of mean-field theory: linear, convolutional and vanilla recurrent ones."""

from typing import NamedTuple

import torch
from torch import nn

from vanishing.activations import ACTIVATIONS
from vanishing.networks.linear import Linear
from vanishing.theory.network import recursions
from vanishing.theory.network.draws import measure
from vanishing.theory.network.operations import reason
from vanishing.theory.network.recursions import NoTheoryError, State

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LEAVES = (nn.Linear, *_CONVOLUTIONS, nn.RNNBase, nn.LayerNorm)  # subclasses of these too


class LayerOutput(NamedTuple):
    """The output of a weight layer.

    Attributes:
        returned: What the layer returns: a state, or the states of a tuple.
        recorded: The state that a recording has for the layer.
        in_time: Of a recurrent layer, {`hidden_gradient_l0`, …: states of h_t by time}.
    """

    returned: State | tuple[State, ...]
    recorded: State
    in_time: dict[str, list[State]]


def pass_layer(name: str, module: nn.Module, state: State) -> LayerOutput:
    """Pass a state through a weight layer.

    Args:
        name: The layer's.
        module: The layer.
        state: Of its input.

    Returns:
        What comes out. A NoTheoryError is raised where there is no recursion, and by
        `draws.measure` where weights are not drawn independently.
    """
    _check_features(name, module, state)
    if isinstance(module, nn.RNN) and _is_plain(module, nn.RNN):
        return _pass_recurrent(name, module, state)
    out = _pass_feedforward(name, module, state)
    return LayerOutput(out, out, {})


def _pass_feedforward(name: str, module: nn.Module, state: State) -> State:
    if isinstance(module, nn.LayerNorm):  # over several axes: its γ has as many
        return recursions.normalize(state, module)
    if type(module) is Linear or (isinstance(module, nn.Linear) and _is_plain(module, nn.Linear)):
        draw = measure(name, module.weight, module.bias)
        return recursions.linear(state, draw, module.out_features)
    for kind in _CONVOLUTIONS:
        if isinstance(module, kind) and _is_plain(module, kind):
            _check_axes(state, module.weight.dim())
            draw = measure(name, module.weight, module.bias)
            return recursions.convolve(state, draw, module)
    raise NoTheoryError(reason(module))


def _pass_recurrent(name: str, module: nn.RNN, state: State) -> LayerOutput:
    """Pass (batch, time, features) through one or more vanilla recurrent layers."""
    if module.bidirectional or (module.dropout > 0 and module.num_layers > 1):
        raise NoTheoryError("there is a recursion for one direction, without dropout")
    _check_axes(state, 3)
    time = 1 if module.batch_first else 0
    steps = list(recursions.rearrange([state], lambda tensors: tensors[0].unbind(time)))
    in_time = {}
    for layer in range(module.num_layers):
        draws = [
            measure(
                f"{name}.weight_{kind}_l{layer}",
                getattr(module, f"weight_{kind}_l{layer}"),
                getattr(module, f"bias_{kind}_l{layer}", None),
            )
            for kind in ("ih", "hh")
        ]
        steps = recursions.recur(steps, ACTIVATIONS[module.nonlinearity], draws, module.hidden_size)
        in_time[f"hidden_gradient_l{layer}"] = steps
    last = [states[-1] for states in in_time.values()]
    out = recursions.rearrange(steps, lambda tensors: torch.stack(list(tensors), time))
    final = recursions.rearrange(last, lambda tensors: torch.stack(list(tensors)))
    return LayerOutput((out, final), out, in_time)


def _check_features(name: str, module: nn.Module, state: State) -> None:
    """Check that the input has as many features or channels as the layer takes.

    Raises:
        ValueError: If it does not. It would be an error of the network too.
    """
    shape = state.square.shape
    if isinstance(module, nn.Linear | nn.RNNBase):
        expected = module.in_features if isinstance(module, nn.Linear) else module.input_size
        features = shape[-1] if shape else 0
    elif isinstance(module, _CONVOLUTIONS):
        expected = module.in_channels
        features = shape[1] if len(shape) > 1 else 0
    else:
        return
    if features != expected:
        of = f"an input of shape {tuple(shape)}"
        raise ValueError(f"{name}: takes {expected} features; given {features}, by {of}")


def _check_axes(state: State, axes: int) -> None:
    if state.square.dim() != axes:
        raise NoTheoryError("its input has no axis of examples")


def _is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Tell whether a module computes as its class of PyTorch does."""
    return type(module).forward is kind.forward
