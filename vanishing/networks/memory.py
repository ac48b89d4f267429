"""The memory that training a network takes, estimated before the network is built."""

import os

from vanishing.errors import StudyError
from vanishing.params.extract import Measured
from vanishing.params.study import Variant
from vanishing.paths import PARAMS

_FLOAT_BYTES = 4
_LAYER_BYTES = 35_000  # Python objects of a layer, measured with 3,000 of width 1


def needed_bytes(variant: Variant, inputs: int, classes: int, batch_size: int) -> int:
    """Estimate the memory that training takes, without data and libraries.

    It holds the weights and velocities (Sutskever et al. 2013) of all layers; the gradient of the
    largest layer, and a copy of it while its statistics are taken; and a preactivation, activation
    and gradient for each hidden unit and example of a batch:

        4 B · (2 P + 2 P_max + 3 · batch · width · depth) + 35 kB · depth

    with P parameters in all and P_max in the largest layer.

    Returns:
        Bytes.
    """
    width, depth = variant.width, variant.depth
    largest = max(_layers(variant, inputs, classes))
    parameters = parameter_count(variant, inputs, classes)
    floats = 2 * parameters + 2 * largest + 3 * batch_size * width * depth
    return _FLOAT_BYTES * floats + _LAYER_BYTES * depth


def parameter_count(variant: Variant, inputs: int, classes: int) -> int:
    """Count a network's parameters, with two per hidden unit for a normalization."""
    first, hidden, output = _layers(variant, inputs, classes)
    return first + (variant.depth - 1) * hidden + output + 2 * variant.depth * variant.width


def _layers(variant: Variant, inputs: int, classes: int) -> tuple[int, int, int]:
    """Return the numbers of weights and biases of the first, a further and the output layer."""
    width = variant.width
    return (inputs + 1) * width, (width + 1) * width, (width + 1) * classes


def check_study(study: Measured, inputs: int, classes: int) -> None:
    """Refuse a study one of whose networks does not fit into this machine's memory.

    Args:
        study: Its parameters.
        inputs: Number of input features.
        classes: Number of classes.
    """
    extract = study.extract
    trained = min(study.train.batch_size, study.data.train_examples)
    probed = min(extract.batch_size, max(extract.probe_size, extract.init_probe_size))
    for name, variant in study.trained.items():
        check(f"variants.{name}", variant, (inputs, classes), trained)
        deepest = variant.at_depth(extract.sweep_depths[-1])
        check("extract.sweep_depths", deepest, (inputs, classes), probed)


def check(key: str, variant: Variant, ends: tuple[int, int], batch_size: int) -> None:
    """Refuse a network that does not fit into this machine's memory.

    Args:
        key: The key of params.yaml that asks for the network.
        variant: The network; one of the study's own code is not estimated.
        ends: Number of input features, and of classes.
        batch_size: Examples per pass.

    Raises:
        StudyError: If the machine has less memory; it states both figures.
    """
    if variant.network is not None:
        return
    needed = needed_bytes(variant, *ends, batch_size)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > installed:
        raise StudyError(
            f"{PARAMS}: {key}: training it takes about {needed / 2**30:,.1f} GiB, and this machine"
            f" has {installed / 2**30:,.1f} GiB; make depth, width or train.batch_size smaller"
        )
