"""The weight layers of a network."""

from torch import nn

WeightLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def weight_layers(network: nn.Module) -> dict[str, WeightLayer]:
    """Return {module name: layer} for every weight layer, in the order of definition."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, WeightLayer)
    }
