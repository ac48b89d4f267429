"""Predictions for a variant whose network a function returns: of its first initialisation."""

import math

from tabulate import tabulate
from torch import Tensor

from vanishing.datasets import examples
from vanishing.errors import StudyError
from vanishing.networks.build import build_function
from vanishing.params.data import Data
from vanishing.params.study import Built
from vanishing.paths import RAW
from vanishing.seeds import generator
from vanishing.theory.meanfield import attenuation
from vanishing.theory.network.recursions import NoTheoryError
from vanishing.theory.network.walk import NetworkLayerTheory, predict_network

_EXAMPLES = 300  # training examples behind a prediction: each is followed through the network
_STEPS_SHOWN = 5  # time steps at each end of a sequence


def predict_built(variant: Built, inputs: Tensor) -> list[NetworkLayerTheory]:
    """Predict the hidden layers of a variant's network.

    Args:
        variant: The variant.
        inputs: A batch, on the CPU.

    Returns:
        As `predict_network`, of the initialisation of seed 0: another has, but for chance, the same
        variances.
    """
    return predict_network(build_function(variant, generator(0, "initialisation")), inputs)


def predict_if_available(variant: Built, inputs: Tensor) -> list[NetworkLayerTheory]:
    """Return what `predict_built` does, or nothing where there is no theory."""
    try:
        return predict_built(variant, inputs)
    except NoTheoryError:
        return []


def describe_built(name: str, variant: Built, data: Data) -> str:
    """Write the predictions for a variant: a table by hidden layer, the attenuation, and times.

    Args:
        name: The variant's name, for the error.
        variant: The variant.
        data: The examples in data/raw.

    Returns:
        The text.

    Raises:
        StudyError: If there is no theory of the variant.
    """
    inputs = examples.load(RAW, "train", data).first(_EXAMPLES).inputs
    try:
        layers = predict_built(variant, inputs)
    except NoTheoryError as error:
        raise StudyError(f"{name}: no theory available: {error}") from None
    if not layers:
        raise StudyError(f"{name}: no theory available: it has no hidden layer")
    lines = [
        _table(layers),
        "",
        f"attenuation at {len(layers)} hidden layers: {attenuation(layers):.3g}",
    ]
    for layer in layers:
        lines += [_in_time(layer, tensor, hops) for tensor, hops in layer.hops_in_time.items()]
    return "\n".join(lines)


def _table(layers: list[NetworkLayerTheory]) -> str:
    rows = [
        [index, layer.layer, f"{layer.q:.4g}", "" if math.isnan(layer.hop) else f"{layer.hop:.4g}"]
        for index, layer in enumerate(layers)
    ]
    headers = ("hidden layer", "name", "q", "factor per hop")
    align = ("right", "left", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def _in_time(layer: NetworkLayerTheory, tensor: str, hops: tuple[float, ...]) -> str:
    """Say how the gradient goes back through time."""
    factors = [f"{hop:.3g}" for hop in hops]
    if len(factors) > 2 * _STEPS_SHOWN:
        factors[_STEPS_SHOWN:-_STEPS_SHOWN] = ["…"]
    total = math.prod(hops)
    return (
        f"{layer.layer} {tensor}, factor per time step from the first on: {' '.join(factors)};"
        f" together {total:.3g}"
    )
