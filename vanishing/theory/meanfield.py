"""Mean-field theory of a network at initialisation: q, χ and the ratio of gradients per hop.

At large width the preactivations of a layer are normal. Their variance q depends only on the layer
before, and the gradient shrinks from layer to layer by a factor that depends only on q. Sources:
Poole et al. (2016), eq. 3-5; Schoenholz et al. (2017), eq. 3, 13 and 15; for residual networks Yang
& Schoenholz (2017), section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from vanishing.activations import ACTIVATIONS, Activation
from vanishing.initialisers import bias_variance, weight_variance
from vanishing.params.study import Variant

_REACH = 12  # standard deviations; beyond them lie 4e-33 of a normal distribution
_STEPS_PER_UNIT = 8  # leaves an error of e^-79 for tanh, whose poles are nearest, at ±iπ/2
DEEPEST = 500  # hidden layers; the deepest network that `depth_below_threshold` considers


@dataclass(frozen=True)
class LayerTheory:
    """The theory of one hidden layer.

    Attributes:
        q: E[z²], the variance of the preactivation.
        chi: χ = N·Var(w)·E[φ'(z)²], with N and w of the next layer towards the loss: the factor by
            which a squared gradient changes on its way down through that layer's weights and this
            layer's activation. For the last hidden layer, N and w are those of the square layer
            that a deeper network would have next.
        hop: rms(dL/dz of this layer) / rms(dL/dz of the next hidden layer); NaN for the last.
    """

    q: float
    chi: float
    hop: float


def reason_unavailable(variant: Variant) -> str | None:
    """Return the reason why there is no theory of a variant; None where there is theory."""
    if variant.normalization == "batch":
        return "batch normalization couples the examples of a batch; no closed recursion is used"
    return None


def predict(variant: Variant, inputs: int, first_q: float) -> list[LayerTheory]:
    """Follow q from the first layer up and the gradient from the last hidden layer down.

    Without a skip connection q_(l+1) = σw²·E[φ(√q_l·u)²] + σb², with u ~ N(0, 1), σw² =
    fan-in·Var(w) and σb² = Var(b), and hop_l = √χ_l. With one, h_(l+1) = h_l + φ(z_l), and with
    p = E[h²] and m = E[h]: q_l = σw²·p_l + σb², p_(l+1) = p_l + 2·m_l·E[φ] + E[φ²], m_(l+1) =
    m_l + E[φ], since W h is independent of h over the draw of W. The gradient of h grows by
    1 + χ on its way down, so that hop_l² = (1 + χ_(l+1))·E[φ'(z_l)²] / E[φ'(z_(l+1))²].

    Args:
        variant: The network.
        inputs: Number of input features: the fan-in of the first layer.
        first_q: E[z²] of the first layer, as measured; the data enter the theory only here.

    Returns:
        The theory of each hidden layer, from the input on.

    Raises:
        ValueError: If there is no theory of the variant.
    """
    reason = reason_unavailable(variant)
    if reason:
        raise ValueError(reason)
    activation = ACTIVATIONS[variant.activation]
    # All layers but the first are square: fan-in and fan-out are the width.
    gain = variant.width * weight_variance(variant.init, variant.std, variant.width, variant.width)
    offset = bias_variance(variant.width)
    residual = [
        variant.skip and (level > 0 or inputs == variant.width) for level in range(variant.depth)
    ]
    q, p, m = first_q, 0.0, 0.0
    qs, slopes = [], []
    for skip in residual:
        mean, square, slope = moments(activation, q)
        qs.append(q)
        slopes.append(slope)
        p, m = (p + 2 * m * mean + square, m + mean) if skip else (square, mean)
        q = gain * p + offset
    return [
        LayerTheory(q, gain * slope, _hop(level, gain, slopes, residual))
        for level, (q, slope) in enumerate(zip(qs, slopes, strict=True))
    ]


def _hop(level: int, gain: float, slopes: list[float], residual: list[bool]) -> float:
    """Return rms(dL/dz of hidden layer `level`) / rms(dL/dz of the one after it)."""
    if level + 1 == len(slopes):
        return math.nan
    if not residual[level + 1]:
        return math.sqrt(gain * slopes[level])
    return math.sqrt((1 + gain * slopes[level + 1]) * slopes[level] / slopes[level + 1])


class HasHop(Protocol):
    """The theory of a layer of any network."""

    @property
    def hop(self) -> float:
        """Return rms(dL/dz of this layer) / rms(dL/dz of the next one)."""


def attenuation(layers: Sequence[HasHop]) -> float:
    """Return the predicted rms(dL/dz) of the first hidden layer over that of the last."""
    return math.prod(layer.hop for layer in layers[:-1])


@lru_cache(maxsize=4096)  # q settles at a fixed point within a few layers
def moments(activation: Activation, q: float) -> tuple[float, float, float]:
    """Compute E[φ(z)], E[φ(z)²] and E[φ'(z)²] for z ~ N(0, q).

    The closed form is used where the registry has one, else the trapezoidal rule. It converges
    exponentially for a smooth integrand that has decayed at both ends. Its step is small compared
    with √q, and with 1, the scale on which activations bend: Gauss-Hermite nodes scale with √q
    alone and miss the bend where q is large (docs/decisions/0004).

    Args:
        activation: An entry of the registry.
        q: The variance, above zero.

    Returns:
        The three expectations.
    """
    if activation.moments is not None:
        return activation.moments(q)
    scale = math.sqrt(q)
    count = 2 * math.ceil(_REACH * _STEPS_PER_UNIT * max(1.0, scale)) + 1
    u = np.linspace(-_REACH, _REACH, count)
    density = np.exp(-(u**2) / 2)
    density /= density.sum()
    z = scale * u
    phi = activation.function(z)
    mean = float(density @ phi)
    return mean, float(density @ phi**2), float(density @ activation.derivative(z) ** 2)


def depth_scale(chi: float) -> float:
    """Return ξ = -1 / ln χ, in layers: infinite at χ = 1, negative where gradients grow."""
    return math.inf if chi == 1 else -1 / math.log(chi)


def last_hidden_gradient(variant: Variant, classes: int, q: float) -> float:
    """Predict rms(dL/dz) per example of the last hidden layer, for probabilities near 1 / classes.

    With p the softmax's probabilities and y the label, dL/dlogits = p - y has the mean square
    (1 - 1/K) / K for K classes; through the output weights and φ' it becomes
    √(K·Var(w)·E[φ'(z)²]) times that root.

    Args:
        variant: The network.
        classes: K.
        q: E[z²] of the last hidden layer.

    Returns:
        The rms, in nats per unit of z.
    """
    _, _, slope = moments(ACTIVATIONS[variant.activation], q)
    output = classes * weight_variance(variant.init, variant.std, variant.width, classes)
    return math.sqrt((1 - 1 / classes) / classes * output * slope)


def depth_below_threshold(
    variant: Variant, inputs: int, first_q: float, classes: int, threshold: float
) -> int | None:
    """Find the depth from which on the first layer's gradient is predicted below a threshold.

    Args:
        variant: The network; its depth does not matter.
        inputs: Number of input features.
        first_q: As in `predict`.
        classes: Number of classes.
        threshold: Of rms(dL/dz) per example in the first layer, above 0.

    Returns:
        The smallest number of hidden layers; None where it is more than DEEPEST.
    """
    layers = predict(variant.at_depth(DEEPEST), inputs, first_q)
    log_attenuation, limit = 0.0, math.log(threshold)  # the product itself would underflow
    for depth, layer in enumerate(layers, start=1):
        last = last_hidden_gradient(variant, classes, layer.q)
        if math.log(last) + log_attenuation < limit:
            return depth
        log_attenuation += math.log(layer.hop) if depth < DEEPEST else 0.0
    return None
