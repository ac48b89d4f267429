"""A text with the predictions of mean-field theory for a variant, made without training.

It needs the training examples: those of the library's multilayer perceptron the variance of the
first layer's preactivations; those of other networks are followed one by one (`built`).
"""

import numpy as np
from tabulate import tabulate

from vanishing.datasets import idx
from vanishing.datasets.registry import DATASETS
from vanishing.errors import StudyError
from vanishing.initialisers import bias_variance, weight_variance
from vanishing.params.data import Computed, Data, Images
from vanishing.params.study import AnyVariant, Built, Recorded
from vanishing.paths import RAW
from vanishing.theory import meanfield
from vanishing.theory.meanfield import LayerTheory

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)  # 1.18e-38


def describe(name: str, variant: AnyVariant, data: Data, threshold: float) -> str:
    """Write the predictions for a variant: a table by hidden layer, and some lines.

    Of a network that a function returns they are those of `built.describe_built`, else these: The
    table has q, χ and the factor by which the gradient changes per hop. The lines say the
    attenuation and the first layer's gradient at the variant's depth, the depth scale, and the
    depths from which on that gradient is below `threshold` and below float32's smallest normal
    number.

    Args:
        name: The variant's name, for the error.
        variant: The variant.
        data: The examples in data/raw.
        threshold: Of rms(dL/dz) per example in the first layer, above 0.

    Returns:
        The text.

    Raises:
        StudyError: If there is no theory of the variant.
    """
    if isinstance(variant, Recorded):
        raise StudyError(f"{name}: no theory available: it is a recorded run")
    if isinstance(variant, Built):
        from vanishing.theory.network.built import describe_built  # noqa: PLC0415 - needs torch

        return describe_built(name, variant, data)
    reason = meanfield.reason_unavailable(variant)
    if reason:
        raise StudyError(f"{name}: no theory available: {reason}")
    if isinstance(data, Computed):
        raise StudyError(f"{name}: predictions are of {', '.join(DATASETS)}; given {data.dataset}")
    inputs, square = second_moment(data)
    gain = inputs * weight_variance(variant.init, variant.std, inputs, variant.width)
    first_q = gain * square + bias_variance(inputs)
    classes = DATASETS[data.dataset].classes
    layers = meanfield.predict(variant, inputs, first_q)
    last_gradient = meanfield.last_hidden_gradient(variant, classes, layers[-1].q)
    attenuation = meanfield.attenuation(layers)
    lines = [
        _table(layers),
        "",
        f"attenuation at {variant.depth} hidden layers: {attenuation:.3g}",
        f"rms of dL/dz in the first layer, per example: {last_gradient * attenuation:.3g}",
    ]
    if not variant.skip:  # with skip connections the gradient does not fall exponentially
        scale = meanfield.depth_scale(layers[-1].chi)
        lines.append(
            f"depth scale -1 / ln(chi) of the last hidden layer: {scale:.3g} layers"
            f" (squared gradients {'shrink' if scale > 0 else 'grow'} e-fold over that depth)"
        )
    for limit, meaning in (
        (threshold, "your threshold"),
        (SMALLEST_NORMAL, "float32's smallest normal number"),
    ):
        depth = meanfield.depth_below_threshold(variant, inputs, first_q, classes, limit)
        depths = f"from {depth} hidden layers on" if depth else f"not up to {meanfield.DEEPEST}"
        lines.append(f"it falls below {limit:.3g}, {meaning}: {depths}")
    return "\n".join(lines)


def _table(layers: list[LayerTheory]) -> str:
    rows = [
        [index, *(f"{value:.4g}" for value in (layer.q, layer.chi, layer.hop))]
        for index, layer in enumerate(layers)
    ]
    rows[-1][-1] = ""  # the last hidden layer has no hop
    headers = ("hidden layer", "q", "chi", "factor per hop")
    return tabulate(rows, headers, disable_numparse=True, stralign="right")


def second_moment(data: Images) -> tuple[int, float]:
    """Return the number of pixels of an image, and the mean square of a normalised pixel.

    The mean is over all pixels of the training images, each (pixel / 255 - mean) / std.
    """
    images, _ = idx.read_split(RAW, data.dataset, "train")
    counts = np.bincount(images.ravel(), minlength=256)
    values = (np.arange(256) / 255 - data.mean) / data.std
    return images[0].size, float(counts @ values**2 / counts.sum())
