"""The gradient along the residual stream and through time of a network on a probe, as rows."""

import math
from typing import Any

from torch import nn

from vanishing.params.study import TrainedVariant, Variant
from vanishing.recording.layers import blocks
from vanishing.recording.probe import Recording
from vanishing.results.blocks import block_of

Rows = list[dict[str, Any]]


def blocks_of(network: nn.Module, variant: TrainedVariant) -> dict[str, nn.Module]:
    """Return the blocks whose outputs are recorded.

    Those of the multilayer perceptron are its layers, whose gradients are recorded anyway.
    """
    return {} if isinstance(variant, Variant) else blocks(network)


def describe_streams(recording: Recording) -> Rows:
    """Describe the outputs of blocks, and the states of recurrent layers.

    - `rms` of `stream` and `stream_gradient`, a block's output h and N·dL/dh, and the block's
      `position` in the forward pass; it has the index of its first layer
    - `rms` of `hidden_gradient_l0` and its like at each time step t: `layer` is `rnn` at the first,
      `rnn#t` at the others

    Args:
        recording: Of one network.

    Returns:
        Rows with layer_index, layer, tensor, statistic and value; none of most networks.
    """
    index = {name: position for position, name in enumerate(recording.layers)}
    rows: Rows = []
    for name, layer in recording.layers.items():
        for tensor, by_time in layer.through_time.items():
            for time, value in enumerate(by_time.tolist(), start=1):
                place = name if time == 1 else f"{name}#{time}"
                rows.append(_row(index[name], place, tensor, "rms", value))
    for name, block in recording.blocks.items():
        first = min(
            (i for layer, i in index.items() if block_of(layer) == name.partition("#")[0]),
            default=0,
        )
        rows += [
            _row(first, name, "stream", "rms", math.sqrt(block.stream)),
            _row(first, name, "stream_gradient", "rms", math.sqrt(block.stream_gradient)),
            _row(first, name, "stream_gradient", "position", float(block.position)),
        ]
    return rows


def _row(index: int, layer: str, tensor: str, statistic: str, value: float) -> dict[str, Any]:
    return {
        "layer_index": index,
        "layer": layer,
        "tensor": tensor,
        "statistic": statistic,
        "value": value,
    }
