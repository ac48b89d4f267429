"""Values and gradients of a network on a probe, which is a fixed batch of examples."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.activations import ACTIVATIONS, Activation
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.recording.layers import weight_layers

REGISTERED: dict[type, Activation] = {getattr(nn, a.module): a for a in ACTIVATIONS.values()}


class LayerRecord(NamedTuple):
    """The values and gradients of one weight layer on a probe.

    Attributes:
        tensors: {name: values}, as listed at `record`.
        activation: The registry's entry of the activation that follows the layer; None where none
            follows.
    """

    tensors: dict[str, Tensor]
    activation: Activation | None


class _ForwardPass(NamedTuple):
    """One weight layer's values in the forward pass of one batch; the backward pass adds z.grad."""

    z: Tensor  # (batch, units, …)
    phi: Tensor | None  # as z
    activation: Activation | None


def record(
    network: nn.Module, probe: Examples, batch_size: int, *, sum_in_float64: bool = True
) -> dict[str, LayerRecord]:
    """Run a probe forward and backward once, and keep the tensors of each weight layer.

    With N examples in the probe, ℓ_i the cross-entropy of example i and L = Σℓ_i / N:

    - `weight`: W, (fan_out, fan_in, …)
    - `weight_gradient`: dL/dW, as `weight`
    - `bias_gradient`: dL/db, (fan_out,); none where the layer has no bias
    - `preactivation`: z, the argument of the activation, (N, units, …); where batch normalization
      stands before the activation, z is its output; in the output layer, the logits
    - `activation`: φ(z), (N, units, …); before a skip connection is added; none where no
      activation of the registry follows before the next weight layer
    - `backpropagated_gradient`: N·dL/dz, (N, units, …), which is dℓ_i/dz_i, one row per example,
      so that its scale does not depend on the size of the probe

    Layers come in the order in which the forward pass calls them; a layer that it
    never calls is left out. The network is in training mode: batch normalization uses the batch's
    own statistics, as it does while the gradients flow in training. Its running statistics change;
    pass a copy where that matters.

    Args:
        network: On the device of the probe; any module that maps images to logits.
        probe: At least one example; two per batch where the network normalises batches.
        batch_size: Examples per pass; the last batch may be smaller.
        sum_in_float64: Whether dL/dW and dL/db are summed over the batches in float64, and rounded
            to float32 at the end. If not, autograd sums them in float32, which is faster and takes
            less memory.

    Returns:
        {layer: its record}.
    """
    network.train()
    sums_type = _Float64GradientSums if sum_in_float64 else _GradientSums
    sums = {name: sums_type(layer) for name, layer in weight_layers(network).items()}
    passes: list[dict[str, _ForwardPass]] = []
    network.zero_grad()
    for start in range(0, len(probe.labels), batch_size):
        chunk = slice(start, start + batch_size)
        labels = probe.labels[chunk]
        if sum_in_float64:
            network.zero_grad()
        with _hooked(network) as layers:
            loss = cross_entropy(network(probe.inputs[chunk]), labels, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call]
        passes.append(layers)
        for name in layers:
            sums[name].add_batch(len(labels))
    return {
        name: LayerRecord(
            sums[name].tensors() | _joined([batch[name] for batch in passes]), first.activation
        )
        for name, first in passes[0].items()
    }


class _GradientSums:
    """Sums over batches of one layer's gradients, as autograd adds them up, in float32."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._examples = 0

    def add_batch(self, examples: int) -> None:
        """Count a batch whose gradients autograd has added to those of the batches before it."""
        self._examples += examples

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, and the gradients of the mean loss."""
        return {"weight": self._layer.weight.detach()} | self._means()

    def _means(self) -> dict[str, Tensor]:
        return {name: total / self._examples for name, total in _gradients(self._layer).items()}


class _Float64GradientSums(_GradientSums):
    """Sums over batches of one layer's gradients, in float64."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self._totals: dict[str, Tensor] = {}

    def add_batch(self, examples: int) -> None:
        """Add the gradients of a batch, which the layer's parameters hold."""
        super().add_batch(examples)
        for name, gradient in _gradients(self._layer).items():
            self._totals[name] = self._totals.get(name, 0.0) + gradient.double()

    def _means(self) -> dict[str, Tensor]:
        return {name: (total / self._examples).float() for name, total in self._totals.items()}


def _gradients(layer: nn.Module) -> dict[str, Tensor]:
    """Return the gradients that the layer's parameters hold."""
    gradients = {"weight_gradient": layer.weight.grad}
    if layer.bias is not None:
        gradients["bias_gradient"] = layer.bias.grad
    return {name: gradient for name, gradient in gradients.items() if gradient is not None}


def _joined(passes: list[_ForwardPass]) -> dict[str, Tensor]:
    """Concatenate the batches of one layer."""
    gradients = [batch.z.grad for batch in passes if batch.z.grad is not None]
    tensors = {
        "preactivation": torch.cat([batch.z.detach() for batch in passes]),
        "backpropagated_gradient": torch.cat(gradients),
    }
    if passes[0].phi is not None:
        activations = [batch.phi.detach() for batch in passes if batch.phi is not None]
        tensors["activation"] = torch.cat(activations)
    return tensors


@contextmanager
def _hooked(network: nn.Module) -> Iterator[dict[str, _ForwardPass]]:
    """Keep z and φ(z) of each weight layer in one forward pass, and z's gradient after it."""
    layers: dict[str, _ForwardPass] = {}
    waiting: list[str] = []  # the weight layer whose activation has not been called yet

    def after_weight_layer(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if name in layers:
                raise StudyError(
                    f"{name}: called more than once in a forward pass, so that it has more than one"
                    " z; give each call a module of its own"
                )
            _retain_gradient(name, output)
            layers[name] = _ForwardPass(output, None, None)
            waiting[:] = [name]

        return hook

    def after_activation(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if waiting:
            name = waiting.pop()
            if output is inputs[0]:
                raise StudyError(
                    f"{name}: the activation after it works in place and overwrites z; build it"
                    " without inplace=True"
                )
            _retain_gradient(name, inputs[0])
            layers[name] = _ForwardPass(inputs[0], output, REGISTERED[type(module)])

    handles = [
        layer.register_forward_hook(after_weight_layer(name))
        for name, layer in weight_layers(network).items()
    ]
    handles += [
        module.register_forward_hook(after_activation)
        for module in network.modules()
        if type(module) in REGISTERED
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def _retain_gradient(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise StudyError(f"{name}: gives a {type(tensor).__name__}, not a tensor; replace it")
    tensor.retain_grad()
