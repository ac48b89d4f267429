"""Statistics against their slow twins, and at the edges of float32."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES, normal
from vanishing.activations import ACTIVATIONS
from vanishing.stats.exact import (
    displacement,
    fraction_active,
    fraction_constant,
    fraction_dead,
    fraction_flat,
    histogram_linear,
    passage,
    saturation,
    summarize,
)
from vanishing.stats.fast import Bin, histogram_log2

TINY = 1e-8


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


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("scale", [1.0, 10.0, 1e30, 1e-40, 0.0])
def test_flat_and_active_shares_of_units_agree_with_their_twins(name: str, scale: float) -> None:
    z = normal(scale, 600).reshape(60, 10)  # (examples, units)
    units = z.T.tolist()
    assert fraction_flat(z, ACTIVATIONS[name]) == reference.fraction_flat(units, ACTIVATIONS[name])
    assert fraction_active(z) == pytest.approx(reference.fraction_active(units))


def test_units_are_flat_beyond_where_float32_resolves_the_slope() -> None:
    z = torch.tensor([[17.0, 8.0, math.inf, math.nan], [17.5, 9.0, -math.inf, math.nan]])
    assert fraction_flat(z[:, :1], ACTIVATIONS["sigmoid"]) == [0.5]
    assert fraction_flat(z[:, 1:2], ACTIVATIONS["tanh"]) == [0.5]
    assert fraction_flat(z[:, 2:], ACTIVATIONS["sigmoid"]) == [1.0, 0.0]
    assert fraction_active(z) == [1.0] * 4  # NaN is not zero


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-20, 1e-40])
def test_displacement_agrees_with_its_twin(scale: float) -> None:
    start, way = normal(scale, 60).reshape(6, 10), normal(scale / 10, 61)[1:].reshape(6, 10)
    expected = reference.displacement((start + way).flatten().tolist(), start.flatten().tolist())
    assert displacement(start + way, start) == pytest.approx(expected, rel=1e-5)
    assert displacement(start, start) == 0


def test_displacement_from_zero_is_infinite_or_nan() -> None:
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert displacement(one, zero) == math.inf
    assert math.isnan(displacement(zero, zero))
    assert math.isnan(displacement(torch.tensor([[math.nan]]), one))


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
    assert fraction_active(phi) == pytest.approx([1 / 32, 1, 0])


def test_passage_of_a_dead_gradient_is_zero_or_nan_not_an_error() -> None:
    rows = passage({"a": 0.0, "b": 0.0, "c": 1.0, "output": 1.0})
    first, second, whole = (row["value"] for row in rows)
    assert math.isnan(first)
    assert (second, whole) == (0.0, 0.0)
