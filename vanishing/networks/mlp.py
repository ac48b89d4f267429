"""The multilayer perceptron, built from a variant."""

import math

import torch
from torch import Tensor, nn

from vanishing.activations import ACTIVATIONS
from vanishing.initialisers import INITIALISERS, bias_variance, weight_variance
from vanishing.networks.linear import Linear
from vanishing.params.study import Variant


class HiddenLayer(nn.Module):
    """One hidden layer: h ↦ φ(N(W h + b)), plus h where `skip` is set.

    N is batch normalization (Ioffe & Szegedy 2015, before the activation) or nothing. The skip
    connection adds the layer's input after the activation, h + φ(W h + b), the residual network
    of Yang & Schoenholz (2017); it is set only where input and output have the same width.
    """

    def __init__(self, fan_in: int, variant: Variant, skip: bool) -> None:
        super().__init__()
        self.linear = Linear(fan_in, variant.width)
        batch = variant.normalization == "batch"
        self.normalization = nn.BatchNorm1d(variant.width) if batch else nn.Identity()
        self.activation: nn.Module = getattr(nn, ACTIVATIONS[variant.activation].module)()
        self.skip = skip

    def forward(self, h: Tensor) -> Tensor:  # (batch, fan_in) -> (batch, width)
        """Apply the layer."""
        out: Tensor = self.activation(self.normalization(self.linear(h)))
        return out + h if self.skip else out


class MLP(nn.Module):
    """`depth` hidden layers and a linear output layer; the loss applies the softmax."""

    def __init__(self, variant: Variant, inputs: int, classes: int) -> None:
        super().__init__()
        fans_in = [inputs] + [variant.width] * (variant.depth - 1)
        self.hidden = nn.Sequential(
            *(
                HiddenLayer(fan_in, variant, skip=variant.skip and fan_in == variant.width)
                for fan_in in fans_in
            )
        )
        self.output = Linear(variant.width, classes)

    def forward(self, x: Tensor) -> Tensor:  # (batch, …) -> (batch, classes)
        """Return the logits."""
        logits: Tensor = self.output(self.hidden(x.flatten(1)))
        return logits


def build(variant: Variant, inputs: int, classes: int, generator: torch.Generator) -> MLP:
    """Build a variant's network on the CPU, every parameter drawn from `generator`.

    Weights are drawn as `initialisers.INITIALISERS[variant.init]` says. Biases are
    U(-1/√fan_in, 1/√fan_in) for every `init`, so that two variants that differ in `init` differ in
    the weights alone. Batch normalization begins with γ = 1 and β = 0.

    Args:
        variant: The network's parameters.
        inputs: Number of input features.
        classes: Number of classes.
        generator: On the CPU; the same state gives the same network.

    Returns:
        The network, float32, in training mode.
    """
    network = MLP(variant, inputs, classes)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            _initialise(module, variant, generator)
    return network


def _initialise(layer: nn.Linear, variant: Variant, generator: torch.Generator) -> None:
    fans = layer.in_features, layer.out_features
    std = math.sqrt(weight_variance(variant.init, variant.std, *fans))
    if INITIALISERS[variant.init].distribution == "normal":
        nn.init.normal_(layer.weight, std=std, generator=generator)
    else:
        _uniform(layer.weight, std, generator)
    _uniform(layer.bias, math.sqrt(bias_variance(layer.in_features)), generator)


def _uniform(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    bound = math.sqrt(3) * std  # of a uniform distribution around zero
    nn.init.uniform_(tensor, -bound, bound, generator=generator)
