"""Statistics against their slow twins, and at the edges of float32."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.core.activations import ACTIVATIONS
from stages.core.statistics import (
    Bin,
    fraction_constant,
    fraction_dead,
    histogram_linear,
    histogram_log2,
    passage,
    saturation,
    summarize,
)
from tests import reference

TINY = 1e-8
DENORMAL = 2.0**-149  # the smallest float32 above zero


def normal(scale: float, count: int = 1001) -> Tensor:
    """Return normal numbers of a scale."""
    return torch.randn(count, generator=torch.Generator().manual_seed(3)) * scale


CASES = {
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


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_summary_agrees_with_its_twin(values: Tensor) -> None:
    expected = reference.summary(values.flatten().tolist(), TINY)
    assert summarize(values, TINY) == pytest.approx(expected, rel=1e-5, abs=1e-60)


def test_summary_of_nan_and_infinity_follows_ieee() -> None:
    with_nan = summarize(torch.tensor([1.0, math.nan, 0.0, 0.0]), TINY)
    assert math.isnan(with_nan["mean"])
    assert math.isnan(with_nan["q50"])
    assert with_nan["fraction_nonfinite"] == 0.25
    assert with_nan["fraction_zero"] == 0.5
    with_inf = summarize(torch.tensor([1.0, math.inf, -math.inf, 2.0]), TINY)
    assert with_inf["max_abs"] == math.inf
    assert with_inf["rms"] == math.inf
    assert with_inf["fraction_nonfinite"] == 0.5


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_log2_histogram_agrees_with_its_twin(values: Tensor) -> None:
    counted = {(b.left, b.right): b.count for b in histogram_log2(values)}
    assert counted == reference.log2_counts(values.flatten().tolist())


def test_log2_histogram_counts_every_edge_where_it_belongs() -> None:
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
    (only,) = histogram_log2(torch.tensor([math.nan, -math.nan]))
    assert math.isnan(only.left)
    assert only.count == 2


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_linear_histogram_agrees_with_numpy(values: Tensor) -> None:
    flat = values.double().flatten().numpy()
    counts, edges = np.histogram(flat, bins=100, range=(-1, 1))
    inside = [b for b in histogram_linear(values) if math.isfinite(b.left + b.right)]
    assert [b.count for b in inside] == counts.tolist()
    assert [b.left for b in inside] == pytest.approx(edges[:-1].tolist(), abs=1e-15)


def test_linear_histogram_counts_what_lies_outside() -> None:
    values = torch.tensor([-1.0, 1.0, 1.5, -math.inf, math.inf, math.nan, 0.0])
    low, *middle, high, nan = histogram_linear(values)
    assert low == Bin(-math.inf, -1, 1)
    assert high == Bin(1, math.inf, 2)
    assert (math.isnan(nan.left), nan.count) == (True, 1)
    assert {b.left: b.count for b in middle if b.count} == {-1.0: 1, 0.0: 1, 0.98: 1}


@pytest.mark.parametrize("histogram", [histogram_log2, histogram_linear])
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_histogram_loses_no_value(histogram: object, values: Tensor) -> None:
    assert callable(histogram)
    assert sum(b.count for b in histogram(values)) == values.numel()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_saturation_agrees_with_its_twin(values: Tensor, name: str) -> None:
    expected = reference.saturation((values * 5).flatten().tolist(), ACTIVATIONS[name])
    assert saturation(values * 5, ACTIVATIONS[name]) == expected


def test_saturation_of_infinity_and_nan() -> None:
    z = torch.tensor([math.inf, -math.inf, math.nan, 0.0])
    assert saturation(z, ACTIVATIONS["sigmoid"]) == 0.5
    assert saturation(z, ACTIVATIONS["relu"]) == 0.75  # 0 and below, and NaN, which is not above


def test_dead_and_constant_units_are_counted_over_all_examples() -> None:
    phi = torch.tensor([[0.0, 0.0, 2.0, math.nan], [0.0, 1.0, 2.0, math.nan]])
    assert fraction_dead(phi) == 0.25
    assert fraction_constant(phi) == 0.5  # the dead one is constant too; NaN is not
    assert fraction_dead(phi[:1]) == 0.5


def test_units_of_a_convolution_are_its_channels() -> None:
    phi = torch.zeros(2, 3, 4, 4)
    phi[1, 0, 2, 2] = 1.0
    phi[:, 1] = 5.0
    assert fraction_dead(phi) == pytest.approx(1 / 3)
    assert fraction_constant(phi) == pytest.approx(2 / 3)


def test_passage_of_a_dead_gradient_is_zero_or_nan_not_an_error() -> None:
    rows = passage({"a": 0.0, "b": 0.0, "c": 1.0, "output": 1.0})
    first, second, whole = (row["value"] for row in rows)
    assert math.isnan(first)
    assert (second, whole) == (0.0, 0.0)
