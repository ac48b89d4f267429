"""Shares of a layer's units, and of its preactivations where the activation is flat.

Units are axis 1 of a tensor: the columns of a linear layer's output, the channels of a
convolution's. Examples and positions are counted together.
"""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishing.activations import Activation

SATURATED_BELOW = 0.01  # of the supremum of |φ'|
FLAT_BELOW = float(np.finfo(np.float32).eps)  # 2^-23, of the same
_LARGEST = float(np.finfo(np.float32).max)
_SCALE, _RESOLUTION = 128, 1 / 64  # where φ' is looked at for a change of flatness


def saturation(z: Tensor, activation: Activation) -> float:
    """Return the share of elements z with |φ'(z)| below 1 % of the supremum of |φ'|.

    Computed in float64 from the registry's φ'. NaN counts as not saturated, infinity by φ'(±∞).
    """
    return float((_relative_slope(z.flatten(), activation) < SATURATED_BELOW).mean())


def fraction_flat(z: Tensor, activation: Activation) -> Tensor:
    """Compute, per unit, the share of z with |φ'(z)| below 2^-23 of the supremum of |φ'|.

    There φ is flat to the precision of float32: for sigmoid beyond ±17.3, for tanh beyond ±8.7.
    Over examples and positions; NaN counts as not flat.

    Args:
        z: Preactivations, (examples, units, …).
        activation: φ.

    Returns:
        (units,), float64, a share for each unit, on the device of z.
    """
    wide = z.detach() if z.dtype == torch.float64 else z.detach().float()
    counts = torch.zeros(z.shape[1], dtype=torch.int64, device=z.device)
    for first, last in flat_intervals(activation):
        within = wide <= last if first == -math.inf else wide >= first
        if -math.inf < first and last < math.inf:
            within &= wide <= last
        counts += _count_by_unit(within)
    return counts.double() / (z.numel() // z.shape[1])


@functools.cache
def flat_intervals(activation: Activation) -> tuple[tuple[float, float], ...]:
    """Return the intervals of float32 numbers z, ends included, in which φ is flat.

    To compare z with them is a hundredth of the work of computing φ'(z). They are found where φ'
    passes ±2^-23 of the supremum of |φ'|: between neighbours of a grid first, then by bisection
    down to two numbers between which there is no other.
    """
    grid = np.arange(-_SCALE, _SCALE, _RESOLUTION, dtype=np.float32)
    level = FLAT_BELOW * max(map(abs, activation.derivative_bounds))
    edges = []  # the last number before a change, and the first after it
    for signed_level in (-level, level):
        is_above = activation.derivative(grid.astype(np.float64)) >= signed_level
        edges += [
            _bisect(grid[index], grid[index + 1], activation, signed_level)
            for index in np.flatnonzero(is_above[1:] != is_above[:-1])
        ]
    edges.sort()
    firsts = [-_LARGEST, *(after for _, after in edges)]
    lasts = [*(before for before, _ in edges), _LARGEST]
    flat = _relative_slope(torch.tensor(firsts), activation) < FLAT_BELOW
    with np.errstate(invalid="ignore"):  # of Swish, infinity times 0
        ends = _relative_slope(torch.tensor([-math.inf, math.inf]), activation) < FLAT_BELOW
    firsts[0] = -math.inf if ends[0] else firsts[0]
    lasts[-1] = math.inf if ends[1] else lasts[-1]
    return tuple(
        (first, last) for first, last, is_flat in zip(firsts, lasts, flat, strict=True) if is_flat
    )


def _bisect(
    below: np.float32, above: np.float32, activation: Activation, level: float
) -> tuple[float, float]:
    """Return two neighbours in float32 between which φ' passes a level, as it does in between."""

    def is_above(z: np.float32) -> bool:
        return bool(activation.derivative(np.array([z], dtype=np.float64))[0] >= level)

    before = is_above(below)
    while np.nextafter(below, above) != above:
        middle = np.float32((np.float64(below) + np.float64(above)) / 2)
        if middle in {below, above}:
            middle = np.nextafter(below, above)
        if is_above(middle) == before:
            below = middle
        else:
            above = middle
    return float(below), float(above)


def fraction_active(phi: Tensor) -> Tensor:
    """Compute, per unit, the share of examples and positions where φ(z) is not 0; NaN is not 0.

    Args:
        phi: Activations, (examples, units, …).

    Returns:
        (units,), float64, a share for each unit, on the device of φ(z).
    """
    return _count_by_unit(phi.detach() != 0).double() / (phi.numel() // phi.shape[1])


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


def _count_by_unit(conditions: Tensor) -> Tensor:
    """Count, per unit, how many conditions hold, (units,), int64."""
    return conditions.sum([axis for axis in range(conditions.dim()) if axis != 1])


def _by_unit(values: Tensor) -> Tensor:
    return values.detach().transpose(0, 1).flatten(1)  # (units, examples * positions)
