"""Shares of a layer's units, and of its preactivations where the activation is flat.

Units are axis 1 of a tensor: the columns of a linear layer's output, the channels of a
convolution's. Examples and positions are counted together.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vanishing.activations import Activation

SATURATED_BELOW = 0.01  # of the supremum of |φ'|
FLAT_BELOW = float(np.finfo(np.float32).eps)  # 2^-23, of the same


def saturation(z: Tensor, activation: Activation) -> float:
    """Return the share of elements z with |φ'(z)| below 1 % of the supremum of |φ'|.

    Computed in float64 from the registry's φ'. NaN counts as not saturated, infinity by φ'(±∞).
    """
    return float((_relative_slope(z.flatten(), activation) < SATURATED_BELOW).mean())


def fraction_flat(z: Tensor, activation: Activation) -> list[float]:
    """Compute, per unit, the share of z with |φ'(z)| below 2^-23 of the supremum of |φ'|.

    There φ is flat to the precision of float32: for sigmoid beyond ±17.3, for tanh beyond ±8.7.
    Over examples and positions; NaN counts as not flat.

    Args:
        z: Preactivations, (examples, units, …).
        activation: φ.

    Returns:
        (units,), a share for each unit.
    """
    flat = _relative_slope(_by_unit(z), activation) < FLAT_BELOW
    shares: list[float] = flat.mean(axis=1).tolist()
    return shares


def fraction_active(phi: Tensor) -> list[float]:
    """Return, per unit, the share of examples and positions where φ(z) is not 0; NaN is not 0."""
    shares: list[float] = (_by_unit(phi) != 0).double().mean(1).tolist()
    return shares


def fraction_dead(phi: Tensor) -> float:
    """Return the share of units whose φ(z) is 0 for every example and position."""
    return float((_by_unit(phi) == 0).all(1).double().mean())


def fraction_constant(phi: Tensor) -> float:
    """Return the share of units whose φ(z) is the same for every example and position.

    Dead units are among them; a NaN anywhere makes a unit not constant.
    """
    by_unit = _by_unit(phi)
    return float((by_unit == by_unit[:, :1]).all(1).double().mean())


def _relative_slope(z: Tensor, activation: Activation) -> NDArray[np.float64]:
    """Return |φ'(z)| over the supremum of |φ'|."""
    slope = activation.derivative(z.detach().double().cpu().numpy())
    return np.abs(slope) / max(map(abs, activation.derivative_bounds))


def _by_unit(values: Tensor) -> Tensor:
    return values.detach().transpose(0, 1).flatten(1)  # (units, examples * positions)
