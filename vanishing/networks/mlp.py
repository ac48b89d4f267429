"""The networks of the study: a multilayer perceptron built from a variant's record."""

import math

import torch
from torch import Tensor, nn

from vanishing.activations import ACTIVATIONS
from vanishing.initialisers import INITIALISERS, bias_variance, weight_variance
from vanishing.networks.linear import Linear
from vanishing.params.study import Variant


class Hidden(nn.Module):
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


class Network(nn.Module):
    """`depth` hidden layers and a linear output layer; the loss applies the softmax."""

    def __init__(self, variant: Variant, inputs: int, classes: int) -> None:
        super().__init__()
        fans_in = [inputs] + [variant.width] * (variant.depth - 1)
        self.hidden = nn.Sequential(
            *(Hidden(fan, variant, skip=variant.skip and fan == variant.width) for fan in fans_in)
        )
        self.output = Linear(variant.width, classes)

    def forward(self, x: Tensor) -> Tensor:  # (batch, inputs) -> (batch, classes)
        """Return the logits."""
        logits: Tensor = self.output(self.hidden(x))
        return logits


def build(variant: Variant, inputs: int, classes: int, generator: torch.Generator) -> Network:
    """Build a variant's network on the CPU, every parameter drawn from `generator`.

    Weights follow `variant.init`, as `initialisers.INITIALISERS` has it.

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
    network = Network(variant, inputs, classes)
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


WeightLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def weight_layers(network: nn.Module) -> dict[str, WeightLayer]:
    """Return {module name: layer} for every weight layer, in the order of definition."""
    return {name: each for name, each in network.named_modules() if isinstance(each, WeightLayer)}
