"""What mean-field theory says of a variant, without training: `python -m tools.predict V`.

In: params.yaml and the training images in data/raw, for the variance of the first layer's
preactivations. Out, on stdout: the factor per hop, the attenuation at the variant's depth, and
how deep the network would have to be for the first layer's gradient to fall below a threshold.
"""

import argparse
import math
import sys

import numpy as np
from tabulate import tabulate

from vanishing.datasets import idx
from vanishing.errors import StudyError, run_command
from vanishing.files import RAW
from vanishing.initialisers import bias_variance, weight_variance
from vanishing.params import base as section
from vanishing.params.study import Data, Study, Variant
from vanishing.theory import meanfield

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)  # 1.18e-38


def main(argv: list[str]) -> None:
    """Print the prediction."""
    parser = argparse.ArgumentParser(prog="python -m tools.predict", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    parser.add_argument(
        "--threshold",
        type=positive,
        default=1e-7,
        help="a gradient below this has vanished for you (default: 1e-7)",
    )
    given = parser.parse_args(argv)
    settings = section.load(Study)
    print(describe(given.variant, settings.variant(given.variant), settings.data, given.threshold))


def describe(name: str, variant: Variant, data: Data, threshold: float) -> str:
    """Say in a few lines what theory predicts of a variant.

    Returns:
        The text.

    Raises:
        StudyError: If there is no theory of the variant.
    """
    reason = meanfield.unavailable(variant)
    if reason:
        raise StudyError(f"{name}: no theory available: {reason}")
    inputs, square = second_moment(data)
    gain = inputs * weight_variance(variant.init, variant.std, inputs, variant.width)
    first_q = gain * square + bias_variance(inputs)
    layers = meanfield.predict(variant, inputs, first_q)
    rows = [
        [index, *(f"{value:.4g}" for value in (layer.q, layer.chi, layer.hop))]
        for index, layer in enumerate(layers)
    ]
    rows[-1][-1] = ""  # nothing hidden above the last
    headers = ("hidden layer", "q", "chi", "factor per hop")
    table = tabulate(rows, headers, disable_numparse=True, stralign="right")
    last_gradient = meanfield.last_hidden_gradient(variant, idx.CLASSES, layers[-1].q)
    first_gradient = last_gradient * meanfield.attenuation(layers)
    lines = [
        table,
        "",
        f"attenuation at {variant.depth} hidden layers: {meanfield.attenuation(layers):.3g}",
        f"rms of dL/dz in the first layer, per example: {first_gradient:.3g}",
    ]
    if not variant.skip:  # with skip connections the gradient does not fall exponentially
        scale = meanfield.depth_scale(layers[-1].chi)
        lines.append(
            f"depth scale -1 / ln(chi) of the last hidden layer: {scale:.3g} layers"
            f" (squared gradients {'shrink' if scale > 0 else 'grow'} e-fold in so many)"
        )
    for limit, meaning in (
        (threshold, "your threshold"),
        (SMALLEST_NORMAL, "float32's smallest normal number"),
    ):
        depth = meanfield.depth_below(variant, inputs, first_q, idx.CLASSES, limit)
        where = f"from {depth} hidden layers on" if depth else f"not up to {meanfield.DEEPEST}"
        lines.append(f"it falls below {limit:.3g}, {meaning}: {where}")
    return "\n".join(lines)


def second_moment(data: Data) -> tuple[int, float]:
    """Return the number of pixels of an image, and the mean square of a normalised pixel."""
    images, _ = idx.read_split(RAW, data.dataset, "train")
    counts = np.bincount(images.ravel(), minlength=256)
    values = (np.arange(256) / 255 - data.mean) / data.std
    return images[0].size, float(counts @ values**2 / counts.sum())


def positive(text: str) -> float:
    """Read a number above zero, or raise argparse's error."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} given; should be a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(run_command(main))
