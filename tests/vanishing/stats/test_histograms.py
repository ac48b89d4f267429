"""Histograms against their twins, and at the edges of their bins."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES
from vanishing.stats.histograms import (
    EXPONENT_EDGES,
    HISTOGRAMS,
    Bin,
    count_exponents,
    histogram_linear,
    histogram_log2,
)

DENORMAL = 2.0**-149  # the smallest float32 above zero


def filled(bins: list[Bin]) -> dict[tuple[float, float], int]:
    """Return {(left, right): count} of the bins that are not empty."""
    return {(b.left, b.right): b.count for b in bins if b.count}


@pytest.mark.parametrize("histogram", HISTOGRAMS.values(), ids=HISTOGRAMS.keys())
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_counts_add_up_to_the_number_of_values(
    histogram: Callable[[Tensor], list[Bin]], values: Tensor
) -> None:
    assert sum(b.count for b in histogram(values)) == values.numel()


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_linear_histogram_agrees_with_its_twin(values: Tensor) -> None:
    expected = reference.linear_counts(values.flatten().tolist())
    assert filled(histogram_linear(values)) == expected


def test_linear_histogram_has_the_bins_of_numpy() -> None:
    counts, edges = np.histogram(CASES["matrix"].double().numpy(), bins=100, range=(-1, 1))
    inside = [b for b in histogram_linear(CASES["matrix"]) if math.isfinite(b.left + b.right)]
    assert [b.count for b in inside] == counts.tolist()
    assert [b.left for b in inside] == pytest.approx(edges[:-1].tolist(), abs=1e-15)


def test_linear_histogram_counts_values_outside_and_nan() -> None:
    values = torch.tensor([-1.0, 1.0, 1.5, -math.inf, math.inf, math.nan, 0.0])
    below, *inside, above, nan = histogram_linear(values)
    assert below == Bin(-math.inf, -1, 1)
    assert above == Bin(1, math.inf, 2)
    assert (math.isnan(nan.left), math.isnan(nan.right), nan.count) == (True, True, 1)
    assert {b.left: b.count for b in inside if b.count} == {-1.0: 1, 0.0: 1, 0.98: 1}
    assert len(inside) == 100


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_log2_histogram_agrees_with_its_twin(values: Tensor) -> None:
    assert filled(histogram_log2(values)) == reference.log2_counts(values.flatten().tolist())


def test_log2_histogram_counts_every_edge_in_the_bin_to_its_right() -> None:
    below_two = 2.0 - 2.0**-23  # the float32 before 2
    values = [0.0, -0.0, DENORMAL, 2.0**-126, -1.0, below_two, 2.0, math.inf, -math.inf]
    assert histogram_log2(torch.tensor(values)) == [
        Bin(0, 0, 2),
        Bin(DENORMAL, 2.0**-126, 1),
        Bin(2.0**-126, 2.0**-125, 1),
        Bin(1, 2, 2),
        Bin(2, 4, 1),
        Bin(math.inf, math.inf, 2),
    ]


def test_log2_histogram_counts_nan_apart_from_infinity() -> None:
    infinity, nan = histogram_log2(torch.tensor([math.nan, -math.nan, math.inf]))
    assert infinity == Bin(math.inf, math.inf, 1)
    assert (math.isnan(nan.left), nan.count) == (True, 2)


def test_log2_histogram_widens_half_precision() -> None:
    values = torch.tensor([0.5, -2.0, 0.0], dtype=torch.bfloat16)
    assert histogram_log2(values) == [Bin(0, 0, 1), Bin(0.5, 1, 1), Bin(2, 4, 1)]


@pytest.mark.parametrize("histogram", HISTOGRAMS.values(), ids=HISTOGRAMS.keys())
def test_a_tensor_is_left_as_it_was(histogram: Callable[[Tensor], list[Bin]]) -> None:
    values = CASES["matrix"].clone()
    histogram(values)
    histogram(values.t())
    assert torch.equal(values, CASES["matrix"])


def test_exponents_are_counted_for_every_bin_empty_ones_too() -> None:
    counts = count_exponents(torch.tensor([1.0, 1.5, 0.0]))
    assert counts.shape == (len(EXPONENT_EDGES),)
    assert counts[EXPONENT_EDGES[:, 0] == 1.0].tolist() == [2]
    assert counts.sum() == 3


def test_bins_of_powers_of_two_join_without_a_gap() -> None:
    powers = EXPONENT_EDGES[1:-2]
    np.testing.assert_array_equal(powers[1:, 0], powers[:-1, 1])
    assert powers[-1, 1] == 2.0**128
