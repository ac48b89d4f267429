"""What flows through a network on a fixed probe: values forward, gradients backward."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.activations import ACTIVATIONS, Activation
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.mlp import WeightLayer, weight_layers

_ROUNDING = 1e-12
REGISTERED: dict[type, Activation] = {getattr(nn, a.module): a for a in ACTIVATIONS.values()}


class Recorded(NamedTuple):
    """What one weight layer saw of the probe.

    Attributes:
        tensors: {name: values}, as listed at `record`.
        signal_to_noise: Of dL/dW over the probe's batches, as at `_Noise`; NaN where it was not
            asked for.
        activation: The registry's entry of the activation that follows, if one does.
    """

    tensors: dict[str, Tensor]
    signal_to_noise: float
    activation: Activation | None


class _Seen(NamedTuple):
    z: Tensor
    phi: Tensor | None
    activation: Activation | None


def record(
    network: nn.Module, probe: Examples, batch_size: int, noise: bool = True
) -> dict[str, Recorded]:
    """Run the probe forward and backward once and keep what each weight layer saw.

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

    Layers come in the order in which the forward pass calls them; one that it never calls is left
    out. The network is in training mode: batch normalization uses the batch's own statistics, as
    it does while the gradients flow in training. Its running statistics change; give a copy where
    that matters.

    Args:
        network: On the device of the probe; any module that maps images to logits.
        probe: At least one example; two per batch where the network normalises batches.
        batch_size: Examples per pass; the last batch may be smaller.
        noise: Whether to compare the gradients of the batches, which takes as long as the passes.

    Returns:
        {layer: what it saw}.
    """
    network.train()
    layers = weight_layers(network)
    made = _Noise if noise else _Gradients
    gradients = {name: made(layer) for name, layer in layers.items()}
    passes: list[dict[str, _Seen]] = []
    network.zero_grad()
    for start in range(0, len(probe.labels), batch_size):
        chunk = slice(start, start + batch_size)
        labels = probe.labels[chunk]
        if noise:
            network.zero_grad()
        with _watching(network) as seen:
            loss = cross_entropy(network(probe.images[chunk]), labels, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call]
        passes.append(seen)
        for name in seen:
            gradients[name].add(len(labels))
    return {
        name: Recorded(
            gradients[name].tensors() | _joined([each[name] for each in passes]),
            gradients[name].signal_to_noise(),
            first.activation,
        )
        for name, first in passes[0].items()
    }


class _Gradients:
    """One layer's gradients over the batches of a probe, as autograd adds them up, in float32."""

    def __init__(self, layer: WeightLayer) -> None:
        self._layer = layer
        self._examples = 0

    def add(self, examples: int) -> None:
        """Take notice of a batch's summed loss, whose gradients the layer's parameters hold."""
        self._examples += examples

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights and the gradients of the mean loss, float32."""
        layer = self._layer
        assert layer.weight.grad is not None  # noqa: S101 - after backward
        found = {
            "weight": layer.weight.detach(),
            "weight_gradient": layer.weight.grad / self._examples,
        }
        if layer.bias is not None and layer.bias.grad is not None:
            found["bias_gradient"] = layer.bias.grad / self._examples
        return found

    def signal_to_noise(self) -> float:
        """Return NaN: the batches are not told apart."""
        return math.nan


class _Noise(_Gradients):
    """The same of batches whose gradients are told apart: their sums and squares, in float64."""

    def __init__(self, layer: WeightLayer) -> None:
        super().__init__(layer)
        self._total = torch.zeros_like(layer.weight, dtype=torch.float64)
        self._squares = torch.zeros_like(self._total)
        self._bias_total: Tensor | None = None

    def add(self, examples: int) -> None:
        """Add the gradients of a batch, which are all that the parameters hold."""
        super().add(examples)
        layer = self._layer
        assert layer.weight.grad is not None  # noqa: S101 - after backward
        gradient = layer.weight.grad.double()
        self._total += gradient
        self._squares.addcmul_(gradient, gradient, value=1 / examples)
        if layer.bias is not None and layer.bias.grad is not None:
            bias = layer.bias.grad.double()
            self._bias_total = bias if self._bias_total is None else self._bias_total + bias

    def tensors(self) -> dict[str, Tensor]:
        """Return the same as without noise."""
        found = super().tensors()
        found["weight_gradient"] = (self._total / self._examples).float()
        if self._bias_total is not None:
            found["bias_gradient"] = (self._bias_total / self._examples).float()
        return found

    def signal_to_noise(self) -> float:
        """Compute rms over parameters of |mean| / standard deviation of dL/dW over the batches.

        Per parameter, with g_b the gradient of the mean loss of batch b and n_b its size:
        mean = Σ n_b g_b / Σ n_b and √(Σ n_b g_b² / Σ n_b - mean²), the population's, float64.
        Parameters whose gradient does not vary over the batches, as behind a pixel that is always
        black, have no noise to compare to and are left out.

        Returns:
            The ratio; NaN where no parameter's gradient varies, as with a single batch.
        """
        mean_square = (self._total / self._examples).square_()
        variance = (self._squares / self._examples).sub_(mean_square)
        # Where all g_b are equal, rounding leaves a variance of some 1e-16 of the square. What is
        # NaN varies.
        constant = variance <= _ROUNDING * mean_square
        varying = constant.numel() - int(torch.count_nonzero(constant))
        ratios = mean_square.div_(variance).masked_fill_(constant, 0.0)
        return math.sqrt(float(ratios.sum()) / varying) if varying else math.nan


def _joined(seen: list[_Seen]) -> dict[str, Tensor]:
    """Put the batches of one layer together."""
    gradients = [each.z.grad for each in seen if each.z.grad is not None]
    tensors = {
        "preactivation": torch.cat([each.z.detach() for each in seen]),
        "backpropagated_gradient": torch.cat(gradients),
    }
    if seen[0].phi is not None:
        tensors["activation"] = torch.cat([s.phi.detach() for s in seen if s.phi is not None])
    return tensors


@contextmanager
def _watching(network: nn.Module) -> Iterator[dict[str, _Seen]]:
    """Keep z and φ(z) of each weight layer of one forward pass, with z's gradient to come."""
    seen: dict[str, _Seen] = {}
    waiting: list[str] = []  # the weight layer whose activation has not been called yet

    def after_weight_layer(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if name in seen:
                raise StudyError(
                    f"{name}: called more than once in a forward pass, so that it has more than one"
                    " z; give each call a module of its own"
                )
            _keep_gradient(name, output)
            seen[name] = _Seen(output, None, None)
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
            _keep_gradient(name, inputs[0])
            seen[name] = _Seen(inputs[0], output, REGISTERED[type(module)])

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
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keep_gradient(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise StudyError(f"{name}: gives a {type(tensor).__name__}, not a tensor; replace it")
    tensor.retain_grad()
