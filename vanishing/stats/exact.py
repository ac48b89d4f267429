"""What is said of a tensor: a summary in a few numbers, and two histograms.

Everything is computed in float64 from the values as they are. A float32 tensor loses nothing on
the way, denormals included: squares of values as small as 1e-45 do not underflow. (Were torch
told to flush denormals, by `torch.set_flush_denormal`, they would count as zeros; no stage does.)
NaN and infinity follow IEEE 754: they make a mean, norm or quantile NaN or infinite and are
counted in `fraction_nonfinite` and in their own bins.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishing.activations import Activation
from vanishing.stats.fast import Bin, histogram_log2

QUANTILES = {
    "q01": 0.01,
    "q05": 0.05,
    "q25": 0.25,
    "q50": 0.50,
    "q75": 0.75,
    "q95": 0.95,
    "q99": 0.99,
}
LINEAR_BINS = 100  # over (-1, 1)
SATURATED_BELOW = 0.01  # of the supremum of |φ'|
FLAT_BELOW = float(np.finfo(np.float32).eps)  # 2^-23, of the same


def rms(values: Tensor) -> Tensor:
    """Return √(Σx² / n) over all n elements, a scalar in float64."""
    x = values.detach().flatten().double()
    return (torch.dot(x, x) / len(x)).sqrt()


def summarize(values: Tensor, tiny: float) -> dict[str, float]:
    """Describe the n elements x of a tensor, of any shape, all axes together.

    - `mean`: Σx / n
    - `std`: √(Σ(x - mean)² / n), the population's: biased, and 0 for one sample
    - `rms`: √(Σx² / n)
    - `mean_abs`: Σ|x| / n
    - `max_abs`: max |x|
    - `l2_norm`: √(Σx²)
    - `q01` … `q99`: quantiles of x, linear between order statistics (Hyndman & Fan's type 7,
      NumPy's default)
    - `fraction_zero`: share of x = 0
    - `fraction_tiny`: share of |x| < `tiny`, zeros among them
    - `fraction_nonfinite`: share of NaN, +inf and -inf

    Args:
        values: At least one element, float32 or narrower.
        tiny: Threshold of `fraction_tiny`, in the unit of `values`.

    Returns:
        {statistic: value}.
    """
    x = values.detach().flatten().double()
    magnitude, mean, squares = x.abs(), x.mean(), torch.dot(x, x)
    centred = x - mean
    counts = {
        "fraction_zero": len(x) - torch.count_nonzero(x),
        "fraction_tiny": torch.count_nonzero(magnitude < tiny),
        "fraction_nonfinite": len(x) - torch.count_nonzero(x.isfinite()),
    }
    summary = {
        "mean": mean,
        "std": (torch.dot(centred, centred) / len(x)).sqrt(),
        "rms": (squares / len(x)).sqrt(),
        "mean_abs": magnitude.mean(),
        "max_abs": magnitude.max(),
        "l2_norm": squares.sqrt(),
        **{name: count.double() / len(x) for name, count in counts.items()},
    }
    numbers = torch.stack(list(summary.values())).tolist()
    return dict(zip(summary, numbers, strict=True)) | _quantiles(values)


def _quantiles(values: Tensor) -> dict[str, float]:
    flat = values.detach().flatten().float().cpu().numpy()
    with np.errstate(invalid="ignore"):  # interpolation between infinities is NaN, as documented
        found = np.quantile(flat, list(QUANTILES.values()))
    return dict(zip(QUANTILES, found.astype(float).tolist(), strict=True))


def histogram_linear(values: Tensor) -> list[Bin]:
    """Count x in 100 equal bins over (-1, 1), both ends included, as `numpy.histogram` does.

    What lies outside is counted in Bin(-inf, -1) and Bin(1, inf), NaN in Bin(nan, nan); these
    three are left out where they are empty, the hundred never. The counts add up to n.

    Returns:
        The bins from left to right, NaN last.
    """
    x = values.detach().flatten().double()
    half = LINEAR_BINS // 2
    # Scaled before it is shifted: x + 1 would round a small negative x into the bin above zero.
    # The hundred bins have the numbers 1 to 100, what is below them 0, above them 101, NaN 102.
    number = (x * half).floor_().add_(half + 1).clamp_(0, LINEAR_BINS + 1)
    number = number.nan_to_num_(LINEAR_BINS + 2).int()
    below, *counts, above, nans = torch.bincount(number, minlength=LINEAR_BINS + 3).tolist()
    ones = int(torch.count_nonzero(x == 1))  # which belong to the last bin
    counts[-1] += ones
    above -= ones
    edges = [(i - half) / half for i in range(LINEAR_BINS + 1)]
    middle = [Bin(*each) for each in zip(edges[:-1], edges[1:], counts, strict=True)]
    outside = [
        Bin(float("-inf"), -1.0, below),
        Bin(1.0, float("inf"), above),
        Bin(float("nan"), float("nan"), nans),
    ]
    low, *high = [each if each.count else None for each in outside]
    return [each for each in (low, *middle, *high) if each is not None]


def saturation(z: Tensor, activation: Activation) -> float:
    """Return the share of elements z with |φ'(z)| below 1 % of the supremum of |φ'|.

    Computed in float64 from the registry's φ'. NaN counts as not saturated, infinity by φ'(±∞).
    """
    return float((_slope(z.flatten(), activation) < SATURATED_BELOW).mean())


def fraction_flat(z: Tensor, activation: Activation) -> list[float]:
    """Give, per unit (axis 1), the share of z with |φ'(z)| below 2^-23 of the supremum of |φ'|.

    There φ is flat to the precision of float32: for sigmoid beyond ±17.3, for tanh beyond ±8.7.
    Over examples and positions; NaN counts as not flat.

    Returns:
        A share per unit.
    """
    shares: list[float] = (_slope(_by_unit(z), activation) < FLAT_BELOW).mean(axis=1).tolist()
    return shares


def _slope(z: Tensor, activation: Activation) -> NDArray[np.float64]:
    """Return |φ'(z)| over the supremum of |φ'|."""
    slope = activation.derivative(z.detach().double().cpu().numpy())
    return np.abs(slope) / max(map(abs, activation.derivative_bounds))


def _by_unit(values: Tensor) -> Tensor:
    return values.detach().transpose(0, 1).flatten(1)  # (units, examples * positions)


def fraction_active(phi: Tensor) -> list[float]:
    """Return, per unit (axis 1), the share of examples and positions where φ(z) is not 0."""
    shares: list[float] = (_by_unit(phi) != 0).double().mean(1).tolist()
    return shares


def fraction_dead(phi: Tensor) -> float:
    """Return the share of units (axis 1) whose φ(z) is 0 for every example and position."""
    return float((_by_unit(phi) == 0).all(1).double().mean())


def fraction_constant(phi: Tensor) -> float:
    """Return the share of units (axis 1) whose φ(z) is the same for every example and position.

    Dead units are among them; a NaN anywhere makes a unit not constant.
    """
    by_unit = _by_unit(phi)
    return float((by_unit == by_unit[:, :1]).all(1).double().mean())


def displacement(weight: Tensor, start: Tensor) -> float:
    """Return ‖W - W_0‖ / ‖W_0‖, how far the weights are from where they started, in float64.

    NaN where both norms are 0, infinity where only the divisor is.
    """
    origin = start.detach().double()
    way = weight.detach().double() - origin
    return float(torch.linalg.vector_norm(way) / torch.linalg.vector_norm(origin))


def passage(gradients: dict[str, float]) -> list[dict[str, Any]]:
    """Follow the gradient from the last hidden layer down to the first.

    - `hop`: rms(dL/dz_l) / rms(dL/dz_(l+1)), by hidden layer but the last
    - `attenuation`, at the first layer: rms(dL/dz) of the first hidden layer over that of the
      last, the product of the hops; 1 where there is one hidden layer

    Args:
        gradients: {layer: rms(dL/dz)} from the input on, the output layer last.

    Returns:
        Rows with layer_index, layer, tensor, statistic and value; NaN for 0 / 0, infinity where
        only the divisor is 0.
    """
    names = list(gradients)
    hidden = np.array([gradients[name] for name in names[:-1]], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [("hop", index, hop) for index, hop in enumerate(hidden[:-1] / hidden[1:])]
        ratios += [("attenuation", 0, ratio) for ratio in hidden[:1] / hidden[-1:]]
    return [
        {
            "layer_index": index,
            "layer": names[index],
            "tensor": "backpropagated_gradient",
            "statistic": statistic,
            "value": float(value),
        }
        for statistic, index, value in ratios
    ]


HISTOGRAMS: dict[str, Callable[[Tensor], list[Bin]]] = {
    "log2": histogram_log2,
    "linear": histogram_linear,
}
