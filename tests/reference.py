"""Slow, obvious twins, in float64 and exact sums, of the statistics that `vanishing` computes."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from vanishing.activations import Activation


def normal(scale: float, count: int = 1001) -> Tensor:
    """Draw normal numbers with mean zero and this standard deviation."""
    return torch.randn(count, generator=torch.Generator().manual_seed(3)) * scale


CASES = {  # tensors that statistics have to get right
    "normal": normal(1.0),
    "offset": normal(1e-3) + 100,
    "large": normal(1e30),
    "small": normal(1e-20),
    "denormal": normal(1e-40),
    "mixed-with-zeros": torch.cat([normal(1e-9), torch.zeros(500)]),
    "zeros": torch.zeros(7),
    "one-sample": torch.tensor([-2.5]),
    "matrix": normal(1.0, 600).reshape(20, 30),
}


def summary(values: list[float]) -> dict[str, float]:
    """Twin of `exact.summarize`, for finite values."""
    n = len(values)
    mean = math.fsum(values) / n
    return {
        "mean": mean,
        "std": math.sqrt(math.fsum((x - mean) ** 2 for x in values) / n),
        "rms": math.sqrt(math.fsum(x * x for x in values) / n),
        "mean_abs": math.fsum(abs(x) for x in values) / n,
        "max_abs": max(abs(x) for x in values),
        "l2_norm": math.sqrt(math.fsum(x * x for x in values)),
        "q01": quantile(values, 0.01),
        "q05": quantile(values, 0.05),
        "q25": quantile(values, 0.25),
        "q50": quantile(values, 0.5),
        "q75": quantile(values, 0.75),
        "q95": quantile(values, 0.95),
        "q99": quantile(values, 0.99),
        "fraction_zero": sum(x == 0 for x in values) / n,
        "fraction_nonfinite": 0.0,
    }


def quantile(values: list[float], p: float) -> float:
    """Interpolate between the two order statistics around (n - 1) p."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * p
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def magnitude_quantile(values: list[float], p: float) -> float:
    """Return the ⌈p·n⌉-th smallest |x|, which `fast` rounds to the middle of a cell."""
    ordered = sorted(abs(x) for x in values)
    return ordered[max(1, math.ceil(p * len(ordered))) - 1]


def log2_counts(values: list[float]) -> Counter[tuple[float, float]]:
    """Twin of `histograms.histogram_log2`, without NaN: {(left, right): count}."""
    counts: Counter[tuple[float, float]] = Counter()
    for x in values:
        if math.isnan(x):
            continue
        if x == 0 or math.isinf(x):
            counts[abs(x), abs(x)] += 1
        elif abs(x) < 2.0**-126:
            counts[2.0**-149, 2.0**-126] += 1
        else:
            exponent = math.frexp(abs(x))[1] - 1
            counts[2.0**exponent, 2.0 ** (exponent + 1)] += 1
    return counts


def linear_counts(values: list[float]) -> Counter[tuple[float, float]]:
    """Twin of `histograms.histogram_linear`, for finite values, by exact fractions."""
    counts: Counter[tuple[float, float]] = Counter()
    for x in values:
        if abs(x) > 1:
            counts[(-math.inf, -1.0) if x < 0 else (1.0, math.inf)] += 1
        else:
            number = min(math.floor(Fraction(x) * 50), 49)  # 1 lies in the last bin
            counts[number / 50, (number + 1) / 50] += 1
    return counts


def relative_slope(z: float, activation: Activation) -> float:
    """Return |φ'(z)| over the supremum of |φ'|."""
    low, high = activation.derivative_bounds
    return abs(float(activation.derivative(np.array([z]))[0])) / max(abs(low), abs(high))


def saturation(values: list[float], activation: Activation) -> float:
    """Twin of `units.saturation`: count, one by one, the slopes below 1 % of the largest."""
    return sum(relative_slope(z, activation) < 1 / 100 for z in values) / len(values)


def fraction_flat(units: list[list[float]], activation: Activation) -> list[float]:
    """Twin of `units.fraction_flat`: count, one by one, the slopes below 2^-23 of the largest."""
    return [
        sum(relative_slope(z, activation) < 1 / 2**23 for z in unit) / len(unit) for unit in units
    ]


def fraction_active(units: list[list[float]]) -> list[float]:
    """Twin of `units.fraction_active`: count, one by one, the values that are not 0."""
    return [sum(x != 0 for x in unit) / len(unit) for unit in units]


def fraction_dead(units: list[list[float]]) -> float:
    """Twin of `units.fraction_dead`: count the units whose values are all 0."""
    return sum(all(x == 0 for x in unit) for unit in units) / len(units)


def fraction_constant(units: list[list[float]]) -> float:
    """Twin of `units.fraction_constant`: count the units whose values are all the same."""
    return sum(all(x == unit[0] for x in unit) for unit in units) / len(units)


def displacement(weight: list[float], start: list[float]) -> float:
    """Twin of `exact.displacement`: the distance from the start over the norm of the start."""
    distance = math.fsum((w - s) ** 2 for w, s in zip(weight, start, strict=True))
    return math.sqrt(distance) / math.sqrt(math.fsum(s * s for s in start))


def hops(gradients: list[float]) -> list[float]:
    """Divide each hidden layer's rms(dL/dz) by that of the next; the output layer is the last."""
    return [gradients[i] / gradients[i + 1] for i in range(len(gradients) - 2)]


def attenuation(gradients: list[float]) -> float:
    """Divide the first hidden layer's rms(dL/dz) by that of the last hidden layer."""
    return gradients[0] / gradients[-2]


def backpropagation(
    weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray, labels: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """Write out forward and backward pass of a sigmoid network with softmax cross-entropy.

    Returns:
        Per layer the tensors of `probe.record`, in float64.
    """
    layers: list[dict[str, np.ndarray]] = []
    h = x  # (N, fan_in)
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = h @ w.T + b  # (N, fan_out)
        layers.append({"input": h, "weight": w, "preactivation": z})
        if i < len(weights) - 1:
            h = 1 / (1 + np.exp(-z))
            layers[-1]["activation"] = h
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    delta = shifted / shifted.sum(axis=1, keepdims=True)  # softmax
    delta[np.arange(len(labels)), labels] -= 1  # dl_i/dz_i of the output layer
    for i in reversed(range(len(layers))):
        layer = layers[i]
        layer["backpropagated_gradient"] = delta
        layer["weight_gradient"] = delta.T @ layer["input"] / len(x)
        layer["bias_gradient"] = delta.sum(axis=0) / len(x)
        if i:
            a = layers[i - 1]["activation"]
            delta = (delta @ weights[i]) * a * (1 - a)
    for layer in layers:
        del layer["input"]
    return layers
