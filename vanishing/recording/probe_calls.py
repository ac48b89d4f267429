"""The calls of a network's layers and blocks in one forward pass, kept for their gradients."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from vanishing.activations import ACTIVATIONS, Activation
from vanishing.errors import StudyError
from vanishing.recording.recurrent import Call, record_call

REGISTERED: dict[type, Activation] = {getattr(nn, a.module): a for a in ACTIVATIONS.values()}


class Output(NamedTuple):
    """One call of a layer or block in the forward pass; the backward pass adds gradients.

    Attributes:
        module: That was called.
        place: Its name in the network.
        z: (batch, units, …), or as the module has it; of a block its output.
        phi: As z.
        activation: That turned z into phi.
        sequence: Of a recurrent layer, what its call is repeated from.
        returned: Of a recurrent layer, all tensors that it returned.
    """

    module: nn.Module
    place: str
    z: Tensor
    phi: Tensor | None = None
    activation: Activation | None = None
    sequence: Call | None = None
    returned: tuple[Tensor, ...] = ()


@contextmanager
def hooked(
    network: nn.Module, layers: Mapping[str, nn.Module], blocks: Mapping[str, nn.Module]
) -> Iterator[dict[str, Output]]:
    """Keep the calls of layers and blocks in one forward pass, for the gradients after it.

    Yields:
        {call: its output}, in the order in which they end; a second call is `name#2`.
    """
    calls = _Calls()
    handles = [
        module.register_forward_hook(partial(calls.after_layer, name), with_kwargs=True)
        for name, module in layers.items()
    ]
    handles += [
        module.register_forward_hook(partial(calls.after_block, name))
        for name, module in blocks.items()
    ]
    for module in network.modules():
        if type(module) in REGISTERED:
            handles.append(module.register_forward_pre_hook(calls.before_activation))
            handles.append(module.register_forward_hook(calls.after_activation))
    try:
        yield calls.outputs
    finally:
        for handle in handles:
            handle.remove()


class _Calls:
    """The calls of one forward pass."""

    def __init__(self) -> None:
        self.outputs: dict[str, Output] = {}
        self._waiting: str | None = None  # the layer's call whose activation has not been called
        self._argument: Any = None  # that of the activation that is being called

    def after_layer(
        self,
        name: str,
        module: nn.Module,
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        output: Any,
    ) -> None:
        """Keep what a layer returned."""
        z, *others = _tensors(name, output)
        kept = Output(module, name, z)
        if isinstance(module, nn.RNNBase):
            sequence = record_call(module, inputs, options)
            kept = kept._replace(sequence=sequence, returned=(z, *others))
        self._waiting = self._keep(kept)

    def after_block(self, name: str, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Keep what a block returned."""
        h, *_ = _tensors(name, output)
        self._keep(Output(module, name, h))

    def before_activation(
        self, module: nn.Module, inputs: tuple[Any, ...]
    ) -> tuple[Any, ...] | None:
        """Give an activation that works in place a copy to overwrite, so that z stays."""
        self._argument = inputs[0]
        is_in_place = self._waiting is not None and getattr(module, "inplace", False)
        return (inputs[0].clone(),) if is_in_place else None

    def after_activation(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Add z and φ(z) to the layer before."""
        if self._waiting is None:
            return
        key, self._waiting = self._waiting, None
        (z,) = _tensors(key, self._argument)
        kept = self.outputs[key]
        self.outputs[key] = kept._replace(z=z, phi=output, activation=REGISTERED[type(module)])

    def _keep(self, output: Output) -> str:
        """Keep an output, and return the name of its call."""
        number = 1 + sum(other.place == output.place for other in self.outputs.values())
        call = output.place if number == 1 else f"{output.place}#{number}"
        self.outputs[call] = output
        return call


def _tensors(name: str, output: Any) -> list[Tensor]:
    """Return the tensors of an output, whose gradients will be kept."""
    parts = output if isinstance(output, tuple | list) else (output,)
    tensors: list[Tensor] = []
    for part in parts:
        inner = part if isinstance(part, tuple | list) else (part,)
        tensors += [tensor for tensor in inner if isinstance(tensor, Tensor)]
    if not tensors:
        raise StudyError(f"{name}: gives a {type(output).__name__}, not a tensor; replace it")
    for tensor in tensors:
        if tensor.requires_grad:
            tensor.retain_grad()
    return tensors
