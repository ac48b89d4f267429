"""The weight layers of a network, and the blocks that hold them."""

from torch import nn

from vanishing.results.blocks import block_of


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


def blocks(network: nn.Module) -> dict[str, nn.Module]:
    """Return {module name: block} for every block, which is a step along the residual stream.

    A block is a module that holds weight layers and by whose name `block_of` groups them, such as
    `encoder.layers.17`; a weight layer is none.
    """
    layers = weight_layers(network)
    names = {block_of(layer) for layer in layers} - layers.keys() - {""}
    return {name: module for name, module in network.named_modules() if name in names}
