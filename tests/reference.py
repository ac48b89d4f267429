"""Slow, obvious twins in float64 of what `stages` computes fast."""

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor

from vanishing.activations import Activation


def normal(scale: float, count: int = 1001) -> Tensor:
    """Return normal numbers of a scale."""
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


def summary(values: list[float], tiny: float) -> dict[str, float]:
    """Twin of `statistics.summarize`, for finite values, in exact sums."""
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
        "fraction_tiny": sum(abs(x) < tiny for x in values) / n,
        "fraction_nonfinite": 0.0,
    }


def quantile(values: list[float], p: float) -> float:
    """Interpolate between the two order statistics around (n - 1) p."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * p
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def log2_counts(values: list[float]) -> Counter[tuple[float, float]]:
    """Twin of `magnitudes.histogram_log2`: {(left, right): count}, NaN under ('nan', 'nan')."""
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


def saturation(values: list[float], activation: Activation) -> float:
    """Count, one by one, where the slope is below a hundredth of the steepest."""
    low, high = activation.derivative_bounds
    limit = max(abs(low), abs(high)) / 100
    slopes = [float(activation.derivative(np.array([z]))[0]) for z in values]
    return sum(abs(slope) < limit for slope in slopes) / len(slopes)


def fraction_flat(units: list[list[float]], activation: Activation) -> list[float]:
    """Count per unit, one by one, where the slope is below 2^-23 of the steepest."""
    low, high = activation.derivative_bounds
    limit = max(abs(low), abs(high)) / 2**23
    slopes = [[float(activation.derivative(np.array([z]))[0]) for z in zs] for zs in units]
    return [sum(abs(slope) < limit for slope in each) / len(each) for each in slopes]


def fraction_active(units: list[list[float]]) -> list[float]:
    """Count per unit, one by one, what is not zero."""
    return [sum(x != 0 for x in each) / len(each) for each in units]


def displacement(weight: list[float], start: list[float]) -> float:
    """Take the distance from the start, and divide by the start's norm, in exact sums."""
    way = math.fsum((w - s) ** 2 for w, s in zip(weight, start, strict=True))
    return math.sqrt(way) / math.sqrt(math.fsum(s * s for s in start))


def signal_to_noise(batches: list[np.ndarray]) -> float:
    """Take mean and standard deviation of each parameter over the batches, then the rms."""
    ratios = []
    for values in np.stack(batches).reshape(len(batches), -1).T:
        deviation = float(np.std(values))
        if deviation > 0:
            ratios.append(float(np.mean(values)) / deviation)
    return math.sqrt(math.fsum(r * r for r in ratios) / len(ratios))


def backpropagation(
    weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray, labels: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """Write out forward and backward pass of a sigmoid network with softmax cross-entropy.

    Returns:
        Per layer the tensors of `recording.record`, in float64.
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
