"""Counts of a tensor's values in equal bins, and in exact powers of two.

The upper bits of a float32, its sign aside, are its exponent. Counting exponents gives the
histogram of |x| in powers of two, and no value is ever rounded into a neighbouring bin.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LINEAR_BINS = 100  # over (-1, 1)

MANTISSA_BITS = 23  # of float32
EXPONENTS = 256  # of float32; the last is that of infinity and NaN
MAGNITUDE_MASK = 0x7FFFFFFF  # all bits but the sign
_EXPONENT_BIAS = 127
_INFINITY_BITS = (EXPONENTS - 1) << MANTISSA_BITS


def _exponent_edges() -> NDArray[np.float64]:
    lowest = 1 - _EXPONENT_BIAS
    powers = [(2.0**k, 2.0 ** (k + 1)) for k in range(lowest, _EXPONENT_BIAS + 1)]
    denormal = (2.0 ** (lowest - MANTISSA_BITS), 2.0**lowest)
    return np.array([(0.0, 0.0), denormal, *powers, (math.inf, math.inf), (math.nan, math.nan)])


# (bins, 2): left and right of each bin of |x|, from left to right: 0, denormals, …, inf, NaN
EXPONENT_EDGES = _exponent_edges()


@dataclass(frozen=True)
class Bin:
    """`count` values lie in [left, right)."""

    left: float
    right: float
    count: int


def histogram_linear(values: Tensor) -> list[Bin]:
    """Count x in 100 equal bins over (-1, 1), both ends included, as `numpy.histogram` does.

    Values outside are counted in Bin(-inf, -1) and Bin(1, inf), NaN in Bin(nan, nan); these three
    are left out where they are empty, the hundred never. The counts add up to n.

    Returns:
        The bins from left to right, NaN last.
    """
    x = values.detach().flatten().double()
    half = LINEAR_BINS // 2
    # Scaled before it is shifted: x + 1 would round a small negative x into the bin above zero.
    # The hundred bins have the numbers 1 to 100, values below them 0, above them 101, NaN 102.
    number = (x * half).floor_().add_(half + 1).clamp_(0, LINEAR_BINS + 1)
    number = number.nan_to_num_(LINEAR_BINS + 2).int()
    below, *counts, above, nans = torch.bincount(number, minlength=LINEAR_BINS + 3).tolist()
    ones = int(torch.count_nonzero(x == 1))  # which belong to the last bin
    counts[-1] += ones
    above -= ones
    edges = [(i - half) / half for i in range(LINEAR_BINS + 1)]
    inside = [
        Bin(left, right, count)
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    bins = [
        Bin(-math.inf, -1.0, below),
        *inside,
        Bin(1.0, math.inf, above),
        Bin(math.nan, math.nan, nans),
    ]
    return [b for b in bins if b.count or -1 <= b.left < b.right <= 1]


def histogram_log2(values: Tensor) -> list[Bin]:
    """Count |x| in exact powers of two: one bin [2^k, 2^(k+1)) per float32 exponent.

    Zeros are counted in Bin(0, 0), denormals together in Bin(2^-149, 2^-126), infinities in
    Bin(inf, inf) and NaN in Bin(nan, nan). Empty bins are left out; the counts add up to n.

    Args:
        values: At least one element, float32 or narrower.

    Returns:
        The bins from left to right, NaN last.
    """
    counts = count_exponents(values)
    return [
        Bin(left, right, count)
        for (left, right), count in zip(EXPONENT_EDGES.tolist(), counts.tolist(), strict=True)
        if count
    ]


def count_exponents(values: Tensor) -> NDArray[np.int64]:
    """Count how many values lie in each bin of EXPONENT_EDGES, by the bits of their exponents.

    Args:
        values: At least one element, float32 or narrower.

    Returns:
        (bins,), on the host; the counts add up to n.
    """
    x = values.detach().reshape(-1).float()
    bits = x.view(torch.int32) & MAGNITUDE_MASK
    exponents = torch.bincount(bits >> MANTISSA_BITS, minlength=EXPONENTS)
    zeros, infinities = exponents[0], exponents[-1]
    # If these are 0, there is no zero and no infinity. A GPU is not asked: a read is a wait.
    if not x.is_cpu or zeros:
        zeros = len(x) - torch.count_nonzero(bits)
    if not x.is_cpu or infinities:
        infinities = torch.count_nonzero(bits == _INFINITY_BITS)
    numbers = torch.cat([exponents, zeros[None], infinities[None]]).cpu().numpy()
    return exponent_counts(numbers[:EXPONENTS], numbers[EXPONENTS], numbers[EXPONENTS + 1])


def exponent_counts(
    exponents: NDArray[np.number], zeros: NDArray[np.number], infinities: NDArray[np.number]
) -> NDArray[np.int64]:
    """Count by the bins of EXPONENT_EDGES, given counts by exponent.

    The lowest exponent is that of zeros and denormals, the highest that of infinities and NaN.

    Args:
        exponents: (…, EXPONENTS), how many values have each exponent.
        zeros: (…,), how many values are 0.
        infinities: (…,), how many values are infinite.

    Returns:
        (…, bins).
    """
    counts = np.empty((*exponents.shape[:-1], len(EXPONENT_EDGES)), dtype=np.int64)
    counts[..., 0] = zeros
    counts[..., 1] = exponents[..., 0] - zeros
    counts[..., 2:-2] = exponents[..., 1:-1]
    counts[..., -2] = infinities
    counts[..., -1] = exponents[..., -1] - infinities
    return counts


HISTOGRAMS: dict[str, Callable[[Tensor], list[Bin]]] = {
    "log2": histogram_log2,
    "linear": histogram_linear,
}
