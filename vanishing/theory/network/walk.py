"""Mean-field predictions for any network at initialisation: the walk through its graph.

The network is traced with torch.fx; each node passes a state (`recursions`) on. A node without a
recursion is an error that says why. What is predicted for a layer is what `recording.probe.record`
measures: z is the argument of the activation module that follows.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from vanishing.errors import in_one_line
from vanishing.theory.network import recursions
from vanishing.theory.network.layers import LEAVES, pass_layer
from vanishing.theory.network.operations import (
    ACTIVATION_MODULES,
    known_reason,
    pass_function,
    pass_method,
    pass_module,
    states_in,
)
from vanishing.theory.network.recursions import NoTheoryError, State


@dataclass(frozen=True)
class NetworkLayerTheory:
    """The theory of one hidden layer of any network.

    Attributes:
        layer: Its name.
        q: E[z²], averaged over examples and elements; of a recurrent layer E[h²].
        hop: rms(dL/dz of this layer) / rms(dL/dz of the next one); NaN for the last.
        hops_in_time: Of a recurrent layer {`hidden_gradient_l0`, …: rms(dL/dh_t) /
            rms(dL/dh_(t+1)) for each time step but the last}.
    """

    layer: str
    q: float
    hop: float
    hops_in_time: dict[str, tuple[float, ...]] = field(default_factory=dict)


def predict_network(network: nn.Module, inputs: Tensor) -> list[NetworkLayerTheory]:
    """Predict q and the hops of gradients of a network's hidden layers, in forward order.

    Variances of weights and biases are measured by layer. The inputs are taken as they are.
    Predictions are of a mean over draws of the weights, in the limit of many units, and for a loss
    whose gradient by the outputs is as large for each example. docs/theory.md has the recursions,
    and how well they hold.

    Args:
        network: On the CPU, as initialised. The last weight layer that it calls is its output.
        inputs: A batch, as the network takes it; a ValueError names the layer that cannot.

    Returns:
        The theory of each hidden layer.

    Raises:
        NoTheoryError: If there is no recursion for a part of the network; the message names it.
    """
    walk = _Walk(network)
    with torch.enable_grad():
        out = walk.run(recursions.constant(inputs))
        if not isinstance(out, State):
            raise NoTheoryError("the network returns something else than one tensor")
        hidden = list(walk.recorded.items())[:-1]
        for name, state in hidden:
            if state.unknown:
                raise NoTheoryError(f"{name}: {state.unknown}")
        for state in walk.kept():
            state.square.retain_grad()
        out.square.backward(torch.ones_like(out.square))  # type: ignore[no-untyped-call]
    gradients = [_gradient(state) for _, state in hidden]
    hops = [*map(_ratio, gradients[:-1], gradients[1:]), math.nan]
    return [
        NetworkLayerTheory(
            name,
            float(state.square.detach().mean()),
            hop,
            {tensor: _hops(steps) for tensor, steps in walk.in_time[name].items()},
        )
        for (name, state), hop in zip(hidden, hops, strict=False)
    ]


def _gradient(state: State) -> float:
    """Return E[g²], averaged over examples and elements; NaN where no gradient came."""
    gradient = state.square.grad
    return math.nan if gradient is None else float(gradient.mean())


def _ratio(square: float, next_square: float) -> float:
    """Return the ratio of two roots; NaN where the second is 0."""
    return math.sqrt(square / next_square) if next_square > 0 else math.nan


def _hops(steps: list[State]) -> tuple[float, ...]:
    gradients = [_gradient(state) for state in steps]
    return tuple(map(_ratio, gradients[:-1], gradients[1:]))


class _Tracer(fx.Tracer):
    """Traces down to the modules that have a recursion, or are PyTorch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


def _trace(network: nn.Module) -> fx.GraphModule:
    if text := known_reason(network):
        raise NoTheoryError(f"{type(network).__name__}: {text}")
    tracer = _Tracer()
    try:
        return fx.GraphModule(network, tracer.trace(network))
    except Exception as error:
        cause = in_one_line(error)
        raise NoTheoryError(f"torch.fx cannot trace its forward pass: {cause}") from error


class _Walk(fx.Interpreter):
    """The forward pass of states.

    Attributes:
        recorded: {weight layer: the state of its z}, in the order of the calls.
        in_time: {weight layer: {`hidden_gradient_l0`, …: states of h_t by time}}.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(_trace(network))
        self.extra_traceback = False  # a message is for the user
        self.recorded: dict[str, State] = {}
        self.in_time: dict[str, dict[str, list[State]]] = {}
        self._waiting: str | None = None  # the layer whose activation module has not been called
        self._drawn: dict[int, str] = {}  # {id of a parameter: the layer that has it}

    def kept(self) -> list[State]:
        """Return all states whose gradients are of interest."""
        steps = [states for layer in self.in_time.values() for states in layer.values()]
        return [*self.recorded.values(), *(state for states in steps for state in states)]

    def run_node(self, n: fx.Node) -> Any:
        """Run a node; an error says which."""
        try:
            self._refuse_overwriting(n)
            return super().run_node(n)
        except NoTheoryError as error:
            place = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", n.name)
            if str(error).startswith((f"{place}: ", f"{place}.")):
                raise
            raise NoTheoryError(f"{place}: {error}") from None

    def _refuse_overwriting(self, n: fx.Node) -> None:
        """Refuse what overwrites an argument that another node reads."""
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        in_place = getattr(module, "inplace", False) or n.kwargs.get("inplace", False)
        in_place = in_place or (n.op == "call_method" and str(n.target).endswith("_"))
        if in_place and any(len(node.users) > 1 for node in n.all_input_nodes):
            raise NoTheoryError("it overwrites its argument, which is used elsewhere too")

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002 - as in torch.fx
        """Refuse a tensor of the network."""
        raise NoTheoryError("a parameter or buffer is used outside of its layer")

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Pass a state through a module, and keep those that a recording has."""
        name, module = str(target), self.fetch_attr(str(target))
        if kwargs or len(args) != 1 or not isinstance(args[0], State):
            raise NoTheoryError("it takes something else than one tensor")
        (state,) = args
        if type(module) in ACTIVATION_MODULES:
            if self._waiting is not None:
                self.recorded[self._waiting] = state
                self._waiting = None
            return recursions.activate(state, ACTIVATION_MODULES[type(module)])
        parameters = list(module.parameters(recurse=False))
        if all(parameter.dim() < 2 for parameter in parameters):  # noqa: PLR2004 - no weight layer
            return pass_module(module, state)
        for parameter in parameters:
            self._refuse_sharing(name, self._drawn.setdefault(id(parameter), name))
        out = pass_layer(name, module, state)
        self.recorded[name], self.in_time[name] = out.recorded, out.in_time
        self._waiting = name
        return out.returned

    def _refuse_sharing(self, name: str, layer: str) -> None:
        """Refuse weights of another layer, or of an earlier call of the same."""
        if layer != name:
            raise NoTheoryError(f"it shares its weights with {layer}")
        if name in self.recorded:
            raise NoTheoryError("it is called more than once, with the same weights")

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Pass states through a function; what has no tensor is computed as it is."""
        if states_in(args, kwargs):
            return pass_function(target, args, kwargs)
        return super().call_function(target, args, kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Pass states through a method of tensors."""
        if states_in(args, kwargs):
            return pass_method(str(target), args, kwargs)
        return super().call_method(target, args, kwargs)
