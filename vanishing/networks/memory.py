"""The memory that training a network takes, estimated before the network is built."""

import os

from vanishing.datasets.registry import Dataset
from vanishing.errors import StudyError
from vanishing.params.extract import Measured
from vanishing.params.study import NONE, TrainedVariant, Training, Variant
from vanishing.paths import PARAMS

_FLOAT_BYTES = 4
_LAYER_BYTES = 35_000  # Python objects of a layer, measured with 3,000 of width 1
_STATES = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2, "adagrad": 1}  # per parameter, at most


def needed_bytes(
    variant: Variant, inputs: int, classes: int, batch_size: int, training: Training
) -> int:
    """Estimate the memory that training takes, without data and libraries.

    It holds the weights of all layers and s states of the optimizer for each, such as the velocity
    of momentum; g gradients; a copy of the largest layer's gradient while its statistics are taken;
    and a preactivation, activation and gradient for each hidden unit and example of a batch:

        4 B · ((1 + s) P + g + P_max + 3 · batch · width · depth) + 35 kB · depth

    with P parameters in all and P_max in the largest layer. Where each parameter is updated within
    the backward pass (`training.optimizers`), g is P_max, else 2 P: all gradients, and a copy of
    the weights at a traced step.

    Returns:
        Bytes.
    """
    width, depth = variant.width, variant.depth
    largest = max(_layers(variant, inputs, classes))
    parameters = parameter_count(variant, inputs, classes)
    in_backward = training.optimizer.name == "sgd" and training.clip_norm == NONE
    gradients = largest if in_backward else 2 * parameters
    states = _STATES[training.optimizer.name]
    floats = (1 + states) * parameters + gradients + largest + 3 * batch_size * width * depth
    return _FLOAT_BYTES * floats + _LAYER_BYTES * depth


def parameter_count(variant: Variant, inputs: int, classes: int) -> int:
    """Count a network's parameters, with two per hidden unit for a normalization."""
    first, hidden, output = _layers(variant, inputs, classes)
    return first + (variant.depth - 1) * hidden + output + 2 * variant.depth * variant.width


def _layers(variant: Variant, inputs: int, classes: int) -> tuple[int, int, int]:
    """Return the numbers of weights and biases of the first, a further and the output layer."""
    width = variant.width
    return (inputs + 1) * width, (width + 1) * width, (width + 1) * classes


def check_study(study: Measured, dataset: Dataset) -> None:
    """Refuse a study one of whose networks does not fit into this machine's memory.

    Args:
        study: Its parameters.
        dataset: Its classes, and the shape of its inputs.
    """
    ends = dataset.inputs, dataset.classes
    extract = study.extract
    probed = min(extract.batch_size, max(extract.probe_size, extract.init_probe_size))
    for name, variant in study.trained.items():
        training = study.training(name)
        trained = min(training.batch_size, study.data.train_examples)
        check(f"variants.{name}", variant, ends, trained, training)
        if isinstance(variant, Variant):
            deepest = variant.at_depth(extract.sweep_depths[-1])
            check("extract.sweep_depths", deepest, ends, probed, training)


def check(
    key: str,
    variant: TrainedVariant,
    ends: tuple[int, int],
    batch_size: int,
    training: Training,
) -> None:
    """Refuse a network that does not fit into this machine's memory.

    Args:
        key: The key of params.yaml that asks for the network.
        variant: The network; one that a function returns is not estimated.
        ends: Number of input features, and of classes.
        batch_size: Examples per pass.
        training: How it is trained.

    Raises:
        StudyError: If the machine has less memory; it states both figures.
    """
    if not isinstance(variant, Variant):
        return
    needed = needed_bytes(variant, *ends, batch_size, training)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > installed:
        raise StudyError(
            f"{PARAMS}: {key}: training it takes about {needed / 2**30:,.1f} GiB, and this machine"
            f" has {installed / 2**30:,.1f} GiB; make depth, width or train.batch_size smaller"
        )
