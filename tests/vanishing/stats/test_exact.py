"""The exact summary and the displacement against their twins, and at the edges of float32."""

import math

import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES, normal
from vanishing.stats.exact import displacement, rms, summarize


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_summary_agrees_with_its_twin(values: Tensor) -> None:
    expected = reference.summary(values.flatten().tolist())
    assert summarize(values) == pytest.approx(expected, rel=1e-5, abs=1e-60)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_rms_is_that_of_the_summary(values: Tensor) -> None:
    assert rms(values).item() == summarize(values)["rms"]


def test_summary_of_nan_and_infinity_follows_ieee() -> None:
    with_nan = summarize(torch.tensor([1.0, math.nan, 0.0, 0.0]))
    assert math.isnan(with_nan["mean"])
    assert math.isnan(with_nan["q50"])
    assert with_nan["fraction_nonfinite"] == 0.25
    assert with_nan["fraction_zero"] == 0.5
    with_inf = summarize(torch.tensor([1.0, math.inf, -math.inf, 2.0]))
    assert with_inf["max_abs"] == math.inf
    assert with_inf["rms"] == math.inf
    assert with_inf["fraction_nonfinite"] == 0.5


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-20, 1e-40])
def test_displacement_agrees_with_its_twin(scale: float) -> None:
    start, difference = normal(scale, 60).reshape(6, 10), normal(scale / 10, 61)[1:].reshape(6, 10)
    weight = start + difference
    expected = reference.displacement(weight.flatten().tolist(), start.flatten().tolist())
    assert displacement(weight, start) == pytest.approx(expected, rel=1e-5)
    assert displacement(start, start) == 0


def test_displacement_from_zero_is_infinite_or_nan() -> None:
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert displacement(one, zero) == math.inf
    assert math.isnan(displacement(zero, zero))
    assert math.isnan(displacement(torch.tensor([[math.nan]]), one))
