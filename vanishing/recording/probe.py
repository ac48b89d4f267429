"""Values and gradients of a network on a probe, which is a fixed batch of examples."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.activations import Activation
from vanishing.datasets.examples import Examples
from vanishing.recording.layers import weight_layers
from vanishing.recording.probe_calls import Output, hooked
from vanishing.recording.recurrent import gradients_through_time

_OF_Z = ("preactivation", "activation", "backpropagated_gradient")
_UNITS_LAST = (nn.Linear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)  # else they are axis 1


class LayerRecord(NamedTuple):
    """The values and gradients of one weight layer on a probe.

    Attributes:
        tensors: {name: values}, as listed at `record`.
        matrices: Of these, the names of the layer's parameters of two dimensions or more; none at a
            call that is not the layer's first.
        activation: The registry's entry of the activation that follows the layer; None where none
            follows.
        through_time: {`hidden_gradient_l0`, …: rms at each time step}, of a recurrent layer, as
            `recurrent.gradients_through_time` has them.
    """

    tensors: dict[str, Tensor]
    matrices: tuple[str, ...]
    activation: Activation | None
    through_time: dict[str, Tensor]


class BlockRecord(NamedTuple):
    """The output h of one block, which is a step along the residual stream, on a probe.

    Attributes:
        position: In the forward pass, among layers and blocks; the first to end has 1.
        stream: Mean square of h.
        stream_gradient: Mean square of N·dL/dh.
    """

    position: int
    stream: float
    stream_gradient: float


class Recording(NamedTuple):
    """A network on a probe.

    Attributes:
        layers: {layer: its record}, in the order in which the forward pass calls them. A call that
            is not the layer's first is `layer#2`; a layer that is never called is left out.
        blocks: {block: its record}, likewise.
    """

    layers: dict[str, LayerRecord]
    blocks: dict[str, BlockRecord]


def record(
    network: nn.Module,
    probe: Examples,
    batch_size: int,
    *,
    blocks: Mapping[str, nn.Module] | None = None,
    sum_in_float64: bool = True,
) -> Recording:
    """Run a probe forward and backward once, and keep the tensors of each weight layer.

    With N examples in the probe, ℓ_i the cross-entropy of example i and L = Σℓ_i / N:

    - `weight`: W, (fan_out, fan_in, …); any other parameter of two dimensions or more has its name
    - `weight_gradient`: dL/dW, as `weight`; any other parameter P has `P_gradient`
    - `bias_gradient`: dL/db, (fan_out,); none where the layer has no bias
    - `preactivation`: z, the argument of the activation, (N, units, …); where batch normalization
      stands before the activation, z is its output; where no activation follows, as in the output
      layer, what the layer returns
    - `activation`: φ(z), (N, units, …); before a skip connection is added; none where no
      activation of the registry follows before the next weight layer
    - `backpropagated_gradient`: N·dL/dz, (N, units, …), which is dℓ_i/dz_i, one row per example,
      so that its scale does not depend on the size of the probe

    What no gradient reaches has none. The network is in training mode: batch normalization uses the
    batch's own statistics, as it does while the gradients flow in training. Its running statistics
    change; pass a copy where that matters.

    Args:
        network: On the device of the probe; any module that maps inputs to logits.
        probe: At least one example; two per batch where the network normalises batches.
        batch_size: Examples per pass; the last batch may be smaller.
        blocks: {name: module} of the network, whose outputs are recorded; None for none.
        sum_in_float64: Whether dL/dW and dL/db are summed over the batches in float64, and rounded
            to float32 at the end. If not, autograd sums them in float32, which is faster and takes
            less memory.

    Returns:
        The recording.
    """
    network.train()
    layers = weight_layers(network)
    sums_type = _Float64GradientSums if sum_in_float64 else _GradientSums
    sums = {name: sums_type(layer) for name, layer in layers.items()}
    passes: list[dict[str, Output]] = []
    network.zero_grad()
    for start in range(0, len(probe.labels), batch_size):
        chunk = slice(start, start + batch_size)
        labels = probe.labels[chunk]
        if sum_in_float64:
            network.zero_grad()
        with hooked(network, layers, blocks or {}) as outputs:
            loss = cross_entropy(network(probe.inputs[chunk]), labels, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call]
        passes.append(outputs)
        for gradient_sums in sums.values():
            gradient_sums.add_batch(len(labels))
    recording = Recording({}, {})
    for position, (name, first) in enumerate(passes[0].items(), start=1):
        calls = [outputs[name] for outputs in passes if name in outputs]
        if first.place in layers:
            recording.layers[name] = _describe_layer(calls, sums[first.place], name == first.place)
        else:
            recording.blocks[name] = _describe_block(calls, position)
    return recording


class _GradientSums:
    """Sums over batches of one layer's gradients, as autograd adds them up, in float32."""

    def __init__(self, layer: nn.Module) -> None:
        self.parameters = dict(layer.named_parameters(recurse=False))
        self._examples = 0

    def add_batch(self, examples: int) -> None:
        """Count a batch whose gradients autograd has added to those of the batches before it."""
        self._examples += examples

    def means(self) -> dict[str, Tensor]:
        """Return {parameter: gradient of the mean loss}; nothing where no gradient came."""
        return {name: total / self._examples for name, total in self._gradients().items()}

    def _gradients(self) -> dict[str, Tensor]:
        """Return the gradients that the layer's parameters hold."""
        gradients = {name: parameter.grad for name, parameter in self.parameters.items()}
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}


class _Float64GradientSums(_GradientSums):
    """Sums over batches of one layer's gradients, in float64."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self._totals: dict[str, Tensor] = {}

    def add_batch(self, examples: int) -> None:
        """Add the gradients of a batch, which the layer's parameters hold."""
        super().add_batch(examples)
        for name, gradient in self._gradients().items():
            self._totals[name] = self._totals.get(name, 0.0) + gradient.double()

    def means(self) -> dict[str, Tensor]:
        """Return {parameter: gradient of the mean loss}, rounded to float32."""
        return {name: (total / self._examples).float() for name, total in self._totals.items()}


def _describe_layer(calls: list[Output], sums: _GradientSums, is_first: bool) -> LayerRecord:
    """Put the batches of one call of a layer together.

    Args:
        calls: One per batch.
        sums: Of the layer's gradients.
        is_first: Whether it is the layer's first call, which has the parameters.

    Returns:
        The record.
    """
    matrices = {name: p.detach() for name, p in sums.parameters.items() if p.dim() > 1}
    tensors: dict[str, Tensor] = {}
    if is_first:
        tensors |= matrices
        tensors |= {f"{name}_gradient": mean for name, mean in sums.means().items()}
    tensors["preactivation"] = torch.cat([call.z.detach() for call in calls])
    gradients = [call.z.grad for call in calls if call.z.grad is not None]
    if gradients:
        tensors["backpropagated_gradient"] = torch.cat(gradients)
    activations = [call.phi.detach() for call in calls if call.phi is not None]
    if activations:
        tensors["activation"] = torch.cat(activations)
    if isinstance(calls[0].module, _UNITS_LAST):
        tensors |= {name: _by_unit(tensors[name]) for name in _OF_Z if name in tensors}
    return LayerRecord(
        tensors, tuple(matrices) if is_first else (), calls[0].activation, _through_time(calls)
    )


def _by_unit(values: Tensor) -> Tensor:
    """Return (examples, …, units) as (examples, units, …)."""
    return values.movedim(-1, 1) if values.dim() > 2 else values  # noqa: PLR2004


def _through_time(calls: list[Output]) -> dict[str, Tensor]:
    """Return the rms of the gradients of a recurrent layer's states at each time step."""
    squares: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for call in calls:
        gradients = [returned.grad for returned in call.returned]
        if call.sequence is None or all(gradient is None for gradient in gradients):
            continue
        assert isinstance(call.module, nn.RNNBase)  # noqa: S101 - only these have a sequence
        states = gradients_through_time(call.module, call.sequence, gradients)
        for name, values in states.items():
            squares[name] = squares.get(name, 0.0) + values.double().square().sum((1, 2))
            counts[name] = counts.get(name, 0) + values[0].numel()
    return {name: (total / counts[name]).sqrt() for name, total in squares.items()}


def _describe_block(calls: list[Output], position: int) -> BlockRecord:
    outputs = [call.z for call in calls]
    gradients = [z.grad for z in outputs if z.grad is not None]
    return BlockRecord(position, _mean_square(outputs), _mean_square(gradients))


def _mean_square(parts: list[Tensor]) -> float:
    total = sum(float(part.detach().double().square().sum()) for part in parts)
    count = sum(part.numel() for part in parts)
    return total / count if count else float("nan")
