"""What flows through a network on a fixed probe: values forward, gradients backward."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.core.activations import ACTIVATIONS
from stages.core.idx import Examples
from stages.core.network import weight_layers

Recording = dict[str, dict[str, Tensor]]  # {layer: {tensor: values}}

_ACTIVATION_MODULES = tuple(getattr(nn, a.module) for a in ACTIVATIONS.values())


def record(network: nn.Module, probe: Examples, batch_size: int) -> Recording:
    """Run the probe forward and backward once and keep what each weight layer saw.

    With N examples in the probe, ℓ_i the cross-entropy of example i and L = Σℓ_i / N:

    - `weight`: W, (fan_out, fan_in)
    - `weight_gradient`: dL/dW, (fan_out, fan_in)
    - `bias_gradient`: dL/db, (fan_out,)
    - `preactivation`: z, the argument of the activation, (N, units); where batch normalization
      stands before the activation, z is its output; in the output layer, the logits
    - `activation`: φ(z), (N, units); before a skip connection is added; none in the output layer
    - `backpropagated_gradient`: N·dL/dz, (N, units), which is dℓ_i/dz_i, one row per example, so
      that its scale does not depend on the size of the probe

    The network is in training mode: batch normalization uses the batch's own statistics, as it
    does while the gradients flow in training. Its running statistics change; give a copy where
    that matters.

    Args:
        network: On the device of the probe.
        probe: At least one example; two per batch where the network normalises batches.
        batch_size: Examples per pass; the last batch may be smaller.

    Returns:
        {layer: {tensor: values}}, layers from the input on.
    """
    network.train()
    network.zero_grad()
    passes: list[dict[str, dict[str, Tensor]]] = []
    count = len(probe.labels)
    for start in range(0, count, batch_size):
        chunk = slice(start, start + batch_size)
        with _watching(network) as seen:
            loss = cross_entropy(network(probe.images[chunk]), probe.labels[chunk], reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call]
        passes.append({name: _detached(tensors) for name, tensors in seen.items()})
    recording: Recording = {}
    for name, layer in weight_layers(network).items():
        assert layer.weight.grad is not None  # noqa: S101 - after backward
        assert layer.bias.grad is not None  # noqa: S101
        recording[name] = {
            "weight": layer.weight.detach(),
            "weight_gradient": layer.weight.grad / count,
            "bias_gradient": layer.bias.grad / count,
        } | {tensor: torch.cat([p[name][tensor] for p in passes]) for tensor in passes[0][name]}
    return recording


@contextmanager
def _watching(network: nn.Module) -> Iterator[dict[str, dict[str, Tensor]]]:
    """Keep z and φ(z) of each weight layer of one forward pass, with z's gradient to come."""
    seen: dict[str, dict[str, Tensor]] = {}
    waiting: list[str] = []  # the weight layer whose activation has not been called yet

    def after_weight_layer(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            output.retain_grad()
            seen[name] = {"preactivation": output}
            waiting[:] = [name]

        return hook

    def after_activation(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if waiting:
            inputs[0].retain_grad()
            seen[waiting.pop()] = {"preactivation": inputs[0], "activation": output}

    handles = [
        layer.register_forward_hook(after_weight_layer(name))
        for name, layer in weight_layers(network).items()
    ]
    handles += [
        module.register_forward_hook(after_activation)
        for module in network.modules()
        if isinstance(module, _ACTIVATION_MODULES)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _detached(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    gradient = tensors["preactivation"].grad
    assert gradient is not None  # noqa: S101 - retained
    kept = {name: tensor.detach() for name, tensor in tensors.items()}
    return kept | {"backpropagated_gradient": gradient}
