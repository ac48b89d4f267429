"""The networks of the study: a multilayer perceptron built from a variant's record."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from stages.core.activations import ACTIVATIONS
from stages.core.params import Variant


class Hidden(nn.Module):
    """One hidden layer: h ↦ φ(N(W h + b)), plus h where `skip` is set.

    N is batch normalization (Ioffe & Szegedy 2015, before the activation) or nothing. The skip
    connection adds the layer's input after the activation, h + φ(W h + b), the residual network
    of Yang & Schoenholz (2017); it is set only where input and output have the same width.
    """

    def __init__(self, fan_in: int, variant: Variant, skip: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(fan_in, variant.width)
        batch = variant.normalization == "batch"
        self.normalization = nn.BatchNorm1d(variant.width) if batch else nn.Identity()
        self.activation: nn.Module = getattr(nn, ACTIVATIONS[variant.activation].module)()
        self.skip = skip

    def forward(self, h: Tensor) -> Tensor:  # (batch, fan_in) -> (batch, width)
        """Apply the layer."""
        out: Tensor = self.activation(self.normalization(self.linear(h)))
        return out + h if self.skip else out


class Network(nn.Module):
    """`depth` hidden layers and a linear output layer; the loss applies the softmax."""

    def __init__(self, variant: Variant, inputs: int, classes: int) -> None:
        super().__init__()
        fans_in = [inputs] + [variant.width] * (variant.depth - 1)
        self.hidden = nn.Sequential(
            *(Hidden(fan, variant, skip=variant.skip and fan == variant.width) for fan in fans_in)
        )
        self.output = nn.Linear(variant.width, classes)

    def forward(self, x: Tensor) -> Tensor:  # (batch, inputs) -> (batch, classes)
        """Return the logits."""
        logits: Tensor = self.output(self.hidden(x))
        return logits


def build(variant: Variant, inputs: int, classes: int, generator: torch.Generator) -> Network:
    """Build a variant's network on the CPU, every parameter drawn from `generator`.

    Weights follow `variant.init`, with n the fan-in and m the fan-out:

    - `default`: U(-1/√n, 1/√n), variance 1/(3n): what `nn.Linear` does by itself;
    - `xavier_uniform`: variance 2/(n + m) (Glorot & Bengio 2010, eq. 16);
    - `he_uniform`: variance 2/n (He et al. 2015, eq. 10);
    - `normal`: N(0, `std`²).

    Biases are U(-1/√n, 1/√n) whatever the weights are, so that two variants that differ in
    `init` differ in the weights alone. Batch normalization begins with γ = 1 and β = 0.

    Args:
        variant: The network's record.
        inputs: Number of input features.
        classes: Number of classes.
        generator: On the CPU; the same state gives the same network.

    Returns:
        The network, float32, in training mode.
    """
    with torch.device("meta"):  # so that construction draws nothing from the global generator
        network = Network(variant, inputs, classes)
    network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.Linear):
            _WEIGHT_INITIALISERS[variant.init](module.weight, variant, generator)
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm1d):
            module.reset_parameters()
    return network


def _default(weight: Tensor, _: Variant, generator: torch.Generator) -> None:
    bound = 1 / math.sqrt(weight.shape[1])  # weight: (fan_out, fan_in)
    nn.init.uniform_(weight, -bound, bound, generator=generator)


def _xavier_uniform(weight: Tensor, _: Variant, generator: torch.Generator) -> None:
    nn.init.xavier_uniform_(weight, generator=generator)


def _he_uniform(weight: Tensor, _: Variant, generator: torch.Generator) -> None:
    nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)


def _normal(weight: Tensor, variant: Variant, generator: torch.Generator) -> None:
    assert variant.std is not None  # noqa: S101 - params.py sees to it
    nn.init.normal_(weight, std=variant.std, generator=generator)


_WEIGHT_INITIALISERS: dict[str, Callable[[Tensor, Variant, torch.Generator], None]] = {
    "default": _default,
    "xavier_uniform": _xavier_uniform,
    "he_uniform": _he_uniform,
    "normal": _normal,
}


def weight_layers(network: nn.Module) -> dict[str, nn.Linear]:
    """Return {module name: layer} for every weight layer, from the input to the output layer."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)
    }
