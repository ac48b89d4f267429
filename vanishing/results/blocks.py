"""The blocks of a network, by the names of its layers."""

import re

_INDEXED = re.compile(r"^(?:.*?\.)?\d+(?=\.|$)")


def block_of(layer: str) -> str:
    """Return the block of a layer: its name up to the first number after a dot, or a leading one.

    `encoder.layers.17.norm` is of `encoder.layers.17`, `0.3.bias` of `0.3`, `3.norm` of `3`;
    without a number it is the name up to its last part: `decoder.head` is of `decoder`.
    """
    match = _INDEXED.match(layer)
    if match:
        return match.group()
    return layer.rpartition(".")[0] or layer
