"""The weight layers of a network."""

from torch import nn


def weight_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return {module name: layer} for every weight layer, in the order of definition.

    A weight layer is a module that itself holds a parameter of two dimensions or more: a linear or
    convolutional layer, an embedding, a recurrent layer, an attention. A normalization is none.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
    }
