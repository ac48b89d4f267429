"""How much memory a network takes to train, estimated before anything is built."""

import os

from vanishing.errors import StudyError
from vanishing.params.base import PATH
from vanishing.params.study import Variant

_FLOAT_BYTES = 4
_LAYER_BYTES = 35_000  # Python objects of a layer, measured with 3,000 of width 1


def needed_bytes(variant: Variant, inputs: int, classes: int, batch_size: int) -> int:
    """Estimate the memory that training takes, data and libraries left out.

    Weights and velocities (Sutskever et al. 2013), both of all layers; the gradient of the widest
    layer and its copy while it is measured; and for each hidden unit and example of a batch its
    pre-activation, activation and gradient:

        4 B · (2 P + 2 P_max + 3 · batch · width · depth) + 35 kB · depth

    Returns:
        Bytes.
    """
    width, depth = variant.width, variant.depth
    layers = [(inputs + 1) * width, (width + 1) * width, (width + 1) * classes]
    parameters = layers[0] + (depth - 1) * layers[1] + layers[2] + 2 * depth * width
    floats = 2 * parameters + 2 * max(layers) + 3 * batch_size * width * depth
    return _FLOAT_BYTES * floats + _LAYER_BYTES * depth


def check(key: str, needed: int) -> None:
    """Refuse what the machine has not the memory for.

    Args:
        key: What in params.yaml asks for it.
        needed: What `needed_bytes` said.

    Raises:
        StudyError: With both figures.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise StudyError(
            f"{PATH}: {key}: training it takes about {needed / 2**30:,.1f} GiB, and this machine"
            f" has {there / 2**30:,.1f} GiB; make depth, width or train.batch_size smaller"
        )
