"""A tensor's statistics in a few passes, counted from the bits of its values.

The upper bits of a float32, its sign aside, are its exponent and the first bits of its mantissa.
Counting them once gives the histogram of |x| in exact powers of two, what is not finite, and the
quantiles of |x| to within 1.6 %, in place of a sort; three sums and a maximum give the rest.
Nothing is rounded into a neighbouring bin. Sums are float32's, off by some 1e-5 of a sum of
magnitudes at the most; where squares would leave float32's range they are scaled first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MANTISSA_BITS = 23  # of float32
_EXPONENT_BIAS = 127
_EXPONENTS = 256  # the last of them: infinity and NaN
_KEPT_BITS = 5  # of the mantissa, within a cell
_CELLS = _EXPONENTS << _KEPT_BITS
_SAFE_SQUARES = (2.0**-40, 2.0**40)  # of the largest |x|: no square that matters leaves float32
_INFINITY = (_EXPONENTS - 1) << _KEPT_BITS  # the cell of infinity; those of NaN come after it

MAGNITUDE_QUANTILES = {
    "abs_q01": 0.01,
    "abs_q05": 0.05,
    "abs_q25": 0.25,
    "abs_q50": 0.50,
    "abs_q75": 0.75,
    "abs_q95": 0.95,
    "abs_q99": 0.99,
}
STATISTICS = (
    "mean",
    "std",
    "rms",
    "mean_abs",
    "max_abs",
    "l2_norm",
    "fraction_zero",
    "fraction_nonfinite",
    *MAGNITUDE_QUANTILES,
)
_SUMS = ("sum", "sum_abs", "scaled_squares", "scale", "max_abs", "zeros", "infinite")
MEASUREMENTS = len(_SUMS) + len(MAGNITUDE_QUANTILES) + _EXPONENTS  # numbers per tensor


@dataclass(frozen=True)
class Bin:
    """`count` values lie in [left, right)."""

    left: float
    right: float
    count: int


class Description(NamedTuple):
    """What `describe` makes of one tensor, or of several at once.

    Attributes:
        statistics: {statistic: (…,)}, float64.
        counts: (…, bins), int64: how many values lie in each of `EDGES`.
    """

    statistics: dict[str, NDArray[np.float64]]
    counts: NDArray[np.int64]


def _edges() -> NDArray[np.float64]:
    low = 1 - _EXPONENT_BIAS
    powers = [(2.0**k, 2.0 ** (k + 1)) for k in range(low, _EXPONENT_BIAS + 1)]
    denormal = (2.0 ** (low - _MANTISSA_BITS), 2.0**low)
    return np.array([(0.0, 0.0), denormal, *powers, (math.inf, math.inf), (math.nan, math.nan)])


EDGES = _edges()  # (bins, 2): left and right, from left to right: 0, denormals, …, inf, NaN


class Measured(NamedTuple):
    """What `measure` takes from a tensor, where the tensor is.

    Attributes:
        sums: (5,), float32, as `_SUMS` has them.
        zeros: How many values are 0, int64.
        cells: (_CELLS,), int64: how many values lie in each.
        size: How many values there are.
    """

    sums: Tensor
    zeros: Tensor
    cells: Tensor
    size: int


def measure(values: Tensor) -> Measured:
    """Measure a tensor; nothing is read from a GPU, where every question would be a wait.

    Args:
        values: At least one element, float32 or narrower.

    Returns:
        What `describe` needs of it.
    """
    x = values.detach().reshape(-1).float()
    bits = x.view(torch.int32) & 0x7FFFFFFF
    magnitudes = bits.view(torch.float32)
    largest = magnitudes.max()
    scale, scaled = torch.ones_like(largest), x
    if not (x.is_cpu and _SAFE_SQUARES[0] < largest < _SAFE_SQUARES[1]):
        # A power of two rounds nothing, and no square that matters underflows or overflows.
        scale = torch.ldexp(scale, -largest.frexp().exponent.clamp(-126, 126))
        scaled = x * scale
    sums = torch.stack([x.sum(), magnitudes.sum(), torch.dot(scaled, scaled), scale, largest])
    bits >>= _MANTISSA_BITS - _KEPT_BITS  # `magnitudes` is gone from here on
    cells = torch.bincount(bits, minlength=_CELLS)
    zeros = cells[0]
    if not x.is_cpu or zeros:  # of which some may be denormals
        zeros = len(x) - torch.count_nonzero(x)
    return Measured(sums, zeros, cells, len(x))


def collect(found: Sequence[Measured]) -> Tensor:
    """Put what was measured of several tensors together, for one transfer to the host.

    Returns:
        (tensors, MEASUREMENTS), float64, on their device; give it to `describe`.
    """
    sums = torch.stack([each.sums for each in found])
    zeros = torch.stack([each.zeros for each in found])
    cells = torch.stack([each.cells for each in found])
    # The k-th smallest |x|, k = ⌈p·n⌉, lies in the first cell by which k values are counted.
    ranks = [
        [max(1, math.ceil(p * each.size)) for p in MAGNITUDE_QUANTILES.values()] for each in found
    ]
    quantiles = torch.searchsorted(cells.cumsum(1), torch.tensor(ranks, device=cells.device))
    exponents = cells.view(len(found), _EXPONENTS, -1).sum(2)
    counted = [zeros[:, None], cells[:, _INFINITY, None], quantiles, exponents]
    return torch.cat([sums.double(), *(each.double() for each in counted)], dim=1)


def describe(measured: NDArray[np.float64]) -> Description:
    """Turn what `collect` returned into statistics and a histogram.

    Of the n elements x, all axes together:

    - `mean`: Σx / n
    - `std`: √(Σx² / n - mean²), the population's; of little use where |mean| is a thousand times
      as large
    - `rms`: √(Σx² / n)
    - `mean_abs`: Σ|x| / n
    - `max_abs`: max |x|
    - `l2_norm`: √(Σx²)
    - `fraction_zero`: share of x = 0
    - `fraction_nonfinite`: share of NaN, +inf and -inf
    - `abs_q01` … `abs_q99`: quantiles of |x|, the ⌈p·n⌉-th smallest, rounded to the middle of its
      cell, one of 32 equal ones within a power of two: off by 2^-6 (1.6 %) of itself at the most;
      0 below 2^-131

    NaN and infinity follow IEEE 754: they make a sum or the maximum NaN or infinite.

    Args:
        measured: (…, MEASUREMENTS), float64, on the host.

    Returns:
        The statistics and the counts per bin, which add up to n.
    """
    sums = {name: measured[..., i] for i, name in enumerate(_SUMS)}
    cells = measured[..., len(_SUMS) : -_EXPONENTS].astype(np.uint32)
    exponents = measured[..., -_EXPONENTS:]
    count = exponents.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        mean = sums["sum"] / count
        norm = np.sqrt(sums["scaled_squares"]) / sums["scale"]
        rms = np.sqrt(sums["scaled_squares"] / count) / sums["scale"]
        std = np.sqrt(np.maximum((rms - mean) * (rms + mean), 0.0))
    counts = np.empty((*exponents.shape[:-1], len(EDGES)))
    counts[..., 0] = sums["zeros"]
    counts[..., 1] = exponents[..., 0] - sums["zeros"]
    counts[..., 2:-2] = exponents[..., 1:-1]
    counts[..., -2] = sums["infinite"]
    counts[..., -1] = exponents[..., -1] - sums["infinite"]
    found = (
        mean,
        std,
        rms,
        sums["sum_abs"] / count,
        sums["max_abs"],
        norm,
        sums["zeros"] / count,
        exponents[..., -1] / count,
        *np.moveaxis(_middle(cells), -1, 0),
    )
    return Description(dict(zip(STATISTICS, found, strict=True)), counts.astype(np.int64))


def _middle(cells: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the middle of each cell; of those of 0, infinity and NaN these themselves."""
    shift = _MANTISSA_BITS - _KEPT_BITS
    inner = (cells > 0) & (cells < _INFINITY)
    bits = (cells << np.uint32(shift)) | (inner.astype(np.uint32) << np.uint32(shift - 1))
    return bits.view(np.float32).astype(np.float64)


def histogram_log2(values: Tensor) -> list[Bin]:
    """Count |x| in exact powers of two: one bin [2^k, 2^(k+1)) per float32 exponent.

    Zeros are counted in Bin(0, 0), denormals together in Bin(2^-149, 2^-126), infinities in
    Bin(inf, inf) and NaN in Bin(nan, nan). The exponent is read from the bits, so no value is
    ever rounded into a neighbouring bin. Empty bins are left out; the counts add up to n.

    Returns:
        The bins from left to right, NaN last.
    """
    counts = describe(collect([measure(values)])[0].cpu().numpy()).counts
    return [
        Bin(left, right, count)
        for (left, right), count in zip(EDGES.tolist(), counts.tolist(), strict=True)
        if count
    ]
