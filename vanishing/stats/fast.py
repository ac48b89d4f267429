"""A tensor's summary in a few passes, counted from the bits of its values.

The upper bits of a float32, its sign aside, are its exponent and the first bits of its mantissa.
Counting them once gives the histogram of |x| in exact powers of two, the values that are not
finite, and the quantiles of |x| to within 1.6 %, in place of a sort; three sums and a maximum give
the rest. Sums are float32's, off by at most some 1e-5 of a sum of magnitudes; where squares would
leave float32's range they are scaled first.

The order of calls: `accumulate` each tensor, `join` those that count as one, `pack` the
accumulations, copy the result to the host, `summarize_packed`.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishing.stats.histograms import EXPONENTS, MAGNITUDE_MASK, MANTISSA_BITS, exponent_counts

_KEPT_BITS = 5  # of the mantissa, within a cell
CELLS = EXPONENTS << _KEPT_BITS  # in which magnitudes are counted
_INFINITY = (EXPONENTS - 1) << _KEPT_BITS  # the cell of infinity; those of NaN come after it
_SAFE_SQUARES = (2.0**-40, 2.0**40)  # of the largest |x|: no square that matters leaves float32
# Elements that are looked at together. What is computed of them on the way needs a few times their
# memory; on the CPU it then stays in the cache, on a GPU calls of kernels stay few.
_PART_OF_CPU = 2**18
_PART_OF_GPU = 2**24

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
_PACKED_SUMS = ("sum", "sum_abs", "scaled_squares", "scale", "max_abs", "zeros", "infinities")
PACKED_LENGTH = len(_PACKED_SUMS) + len(MAGNITUDE_QUANTILES) + EXPONENTS  # numbers per tensor


class Accumulation(NamedTuple):
    """Sums and counts of one tensor, on its device.

    Attributes:
        sums: (5,), float64, the first five of `_PACKED_SUMS`.
        zeros: How many values are 0, int64.
        cells: (CELLS,), int64: how many values lie in each cell.
        size: How many values there are.
    """

    sums: Tensor
    zeros: Tensor
    cells: Tensor
    size: int


class Summary(NamedTuple):
    """Statistics of one tensor, or of several at once.

    Attributes:
        statistics: {statistic: (…,)}, float64.
        counts: (…, bins), int64: how many values lie in each bin of `EXPONENT_EDGES`.
    """

    statistics: dict[str, NDArray[np.float64]]
    counts: NDArray[np.int64]


def accumulate(values: Tensor, divisor: Tensor | None = None) -> Accumulation:
    """Add up and count a tensor's values; nothing is read from a GPU, where a read is a wait.

    Args:
        values: Real, at least one element; float64 is rounded to float32.
        divisor: (), what each value is divided by first, as float32.

    Returns:
        The sums and counts that `pack` needs.
    """
    flat = values.detach().reshape(-1)
    accumulate_part = _accumulate_on_cpu if flat.is_cpu else _accumulate_on_gpu
    parts = []
    for part in split(flat):
        x = part.float()
        parts.append(accumulate_part(x if divisor is None else x / divisor.to(x.device)))
    return join(parts)


def split(flat: Tensor) -> tuple[Tensor, ...]:
    """Cut a tensor of one dimension into parts of as many elements as to look at together."""
    size = _PART_OF_CPU if flat.is_cpu else _PART_OF_GPU
    return (flat,) if len(flat) <= size else torch.split(flat, size)


def _accumulate_on_cpu(x: Tensor) -> Accumulation:
    """Accumulate a part of a tensor; reading a number costs less than an operation on it."""
    bits = x.view(torch.int32) & MAGNITUDE_MASK
    magnitudes = bits.view(torch.float32)
    largest = float(magnitudes.max())
    scale, scaled = 1.0, x
    if not _SAFE_SQUARES[0] < largest < _SAFE_SQUARES[1]:
        # A power of two rounds nothing, and no square that matters underflows or overflows.
        scale = math.ldexp(1.0, -min(max(math.frexp(largest)[1], -126), 126))
        scaled = x * scale
    squares = float(torch.dot(scaled, scaled))
    sums = (float(x.sum()), float(magnitudes.sum()), squares, scale, largest)
    bits >>= MANTISSA_BITS - _KEPT_BITS  # overwrites `magnitudes`, which is not used any more
    cells = torch.bincount(bits, minlength=CELLS)
    zeros = cells[0]
    if zeros:  # the cell of zeros holds denormals too
        zeros = len(x) - torch.count_nonzero(x)
    return Accumulation(torch.tensor(sums, dtype=torch.float64), zeros, cells, len(x))


def _accumulate_on_gpu(x: Tensor) -> Accumulation:
    """Accumulate a part of a tensor by the same steps, of which none waits for the device."""
    bits = x.view(torch.int32) & MAGNITUDE_MASK
    magnitudes = bits.view(torch.float32)
    largest = magnitudes.max()
    scale = scale_for(largest)
    scaled = x * scale
    sums = torch.stack([x.sum(), magnitudes.sum(), torch.dot(scaled, scaled), scale, largest])
    bits >>= MANTISSA_BITS - _KEPT_BITS
    cells = torch.histc(bits, CELLS, 0, CELLS).long()  # bincount reads the maximum, which waits
    return Accumulation(sums.double(), len(x) - torch.count_nonzero(x), cells, len(x))


def scale_for(largest: Tensor) -> Tensor:
    """Return powers of two with which no square that matters underflows or overflows.

    Args:
        largest: max |x| of tensors, float32, of any shape.
    """
    return torch.ldexp(torch.ones_like(largest), -largest.frexp().exponent.clamp(-126, 126))


def join(parts: Sequence[Accumulation]) -> Accumulation:
    """Join the accumulations of tensors that count as one; all are on one device."""
    if len(parts) == 1:
        return parts[0]
    total, magnitude, squares, scale, largest = torch.stack([part.sums for part in parts]).unbind(1)
    joint = scale.gather(0, largest.argmax(keepdim=True))  # that of the largest element
    squares = squares * (joint / scale).square()
    sums = [total.sum(), magnitude.sum(), squares.sum(), joint.squeeze(), largest.max()]
    return Accumulation(
        torch.stack(sums),
        torch.stack([part.zeros for part in parts]).sum(),
        functools.reduce(torch.add, [part.cells for part in parts]),
        sum(part.size for part in parts),
    )


def pack(accumulations: Sequence[Accumulation]) -> Tensor:
    """Put the accumulations of several tensors together, for one transfer to the host.

    Args:
        accumulations: At least one, all on one device.

    Returns:
        (tensors, PACKED_LENGTH), float64, on that device, for `summarize_packed`.
    """
    sums = torch.stack([accumulation.sums for accumulation in accumulations])
    zeros = torch.stack([accumulation.zeros for accumulation in accumulations])
    cells = torch.stack([accumulation.cells for accumulation in accumulations])
    by_exponent = cells.view(len(accumulations), EXPONENTS, -1)
    exponents = by_exponent.sum(2)
    ranks = _ranks(tuple(accumulation.size for accumulation in accumulations), cells.device)
    quantiles = _quantile_cells(by_exponent, exponents, ranks)
    counts = [zeros[:, None], cells[:, _INFINITY, None], quantiles, exponents]
    return torch.cat([sums, *(count.double() for count in counts)], dim=1)


def _quantile_cells(by_exponent: Tensor, exponents: Tensor, ranks: Tensor) -> Tensor:
    """Return (tensors, quantiles): the first cell by which as many values are counted as a rank.

    It is looked for among the exponents first, and then within one.

    Args:
        by_exponent: (tensors, EXPONENTS, cells of an exponent), the counts.
        exponents: (tensors, EXPONENTS), their sums.
        ranks: (tensors, quantiles): k of the k-th smallest |x|, k = ⌈p·n⌉.
    """
    counted = exponents.cumsum(1)
    exponent = torch.searchsorted(counted, ranks)
    before = counted.gather(1, exponent) - exponents.gather(1, exponent)
    within = by_exponent.gather(1, exponent[:, :, None].expand(-1, -1, by_exponent.shape[2]))
    cell = torch.searchsorted(within.cumsum(2), (ranks - before)[:, :, None]).squeeze(2)
    return (exponent << _KEPT_BITS) + cell


@functools.lru_cache(maxsize=8)  # a copy to a GPU cannot be captured in a CUDA graph
def _ranks(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return (tensors, quantiles): the ranks of the quantiles among so many values."""
    ranks = [[max(1, math.ceil(p * n)) for p in MAGNITUDE_QUANTILES.values()] for n in sizes]
    return torch.tensor(ranks, device=device)


def summarize_packed(packed: NDArray[np.float64]) -> Summary:
    """Compute statistics and a histogram from the rows of `pack`.

    Of the n elements x of a tensor, all axes together:

    - `mean`: Σx / n
    - `std`: √(Σx² / n - mean²), the population's; inexact where |mean| is a thousand times as
      large
    - `rms`: √(Σx² / n)
    - `mean_abs`: Σ|x| / n
    - `max_abs`: max |x|
    - `l2_norm`: √(Σx²)
    - `fraction_zero`: share of x = 0
    - `fraction_nonfinite`: share of NaN, +inf and -inf
    - `abs_q01` … `abs_q99`: quantiles of |x|, the ⌈p·n⌉-th smallest, rounded to the middle of its
      cell, one of 32 equal ones within a power of two: off by at most 2^-6 (1.6 %) of itself; 0
      below 2^-131

    NaN and infinity follow IEEE 754: they make a sum or the maximum NaN or infinite.

    Args:
        packed: (…, PACKED_LENGTH), float64, on the host.

    Returns:
        The statistics, and the counts per bin, which add up to n.
    """
    sums = {name: packed[..., i] for i, name in enumerate(_PACKED_SUMS)}
    quantile_cells = packed[..., len(_PACKED_SUMS) : -EXPONENTS].astype(np.uint32)
    exponents = packed[..., -EXPONENTS:]
    size = exponents.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        mean = sums["sum"] / size
        norm = np.sqrt(sums["scaled_squares"]) / sums["scale"]
        rms = np.sqrt(sums["scaled_squares"] / size) / sums["scale"]
        std = np.sqrt(np.maximum((rms - mean) * (rms + mean), 0.0))
    values = (
        mean,
        std,
        rms,
        sums["sum_abs"] / size,
        sums["max_abs"],
        norm,
        sums["zeros"] / size,
        exponents[..., -1] / size,
        *np.moveaxis(_middle(quantile_cells), -1, 0),
    )
    return Summary(
        dict(zip(STATISTICS, values, strict=True)),
        exponent_counts(exponents, sums["zeros"], sums["infinities"]),
    )


def _middle(cells: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the middle of each cell; of the cells of 0, infinity and NaN, these themselves."""
    shift = MANTISSA_BITS - _KEPT_BITS
    inner = (cells > 0) & (cells < _INFINITY)
    bits = (cells << np.uint32(shift)) | (inner.astype(np.uint32) << np.uint32(shift - 1))
    return bits.view(np.float32).astype(np.float64)
