"""Shares of units, and of preactivations where the activation is flat, against their twins."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES, normal
from vanishing.activations import ACTIVATIONS
from vanishing.stats.units import (
    flat_intervals,
    fraction_active,
    fraction_constant,
    fraction_dead,
    fraction_flat,
    saturation,
)

LARGEST = float(np.finfo(np.float32).max)


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
def test_flat_share_of_each_unit_agrees_with_its_twin(name: str, scale: float) -> None:
    z = normal(scale, 600).reshape(60, 10)  # (examples, units)
    expected = reference.fraction_flat(z.T.tolist(), ACTIVATIONS[name])
    assert fraction_flat(z, ACTIVATIONS[name]).tolist() == expected


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_flat_intervals_end_at_the_number_where_the_slope_says_so(name: str) -> None:
    neighbours = torch.tensor(
        [
            float(number)
            for end in {end for interval in flat_intervals(ACTIVATIONS[name]) for end in interval}
            if abs(end) < LARGEST
            for number in (
                np.nextafter(np.float32(end), np.float32(-np.inf)),
                end,
                np.nextafter(np.float32(end), np.float32(np.inf)),
            )
        ]
    )
    z = neighbours.repeat(3, 1)
    expected = reference.fraction_flat(z.T.tolist(), ACTIVATIONS[name])
    assert fraction_flat(z, ACTIVATIONS[name]).tolist() == expected
    assert {0.0, 1.0} == set(expected)


def test_half_precision_is_compared_in_float32() -> None:
    z = torch.tensor([[17.25], [17.375]], dtype=torch.bfloat16)  # the slope's limit is at 17.33
    assert fraction_flat(z, ACTIVATIONS["sigmoid"]).tolist() == [0.5]


def test_units_are_flat_beyond_where_float32_resolves_the_slope() -> None:
    z = torch.tensor([[17.0, 8.0, math.inf, math.nan], [17.5, 9.0, -math.inf, math.nan]])
    assert fraction_flat(z[:, :1], ACTIVATIONS["sigmoid"]).tolist() == [0.5]
    assert fraction_flat(z[:, 1:2], ACTIVATIONS["tanh"]).tolist() == [0.5]
    assert fraction_flat(z[:, 2:], ACTIVATIONS["sigmoid"]).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("scale", [1.0, 1e-40, 0.0])
def test_active_dead_and_constant_shares_agree_with_their_twins(scale: float) -> None:
    phi = normal(scale, 600).reshape(60, 10).relu()  # (examples, units)
    phi[:, 3], phi[:, 4] = 0.0, 2.0
    units = phi.T.tolist()
    assert fraction_active(phi).tolist() == pytest.approx(reference.fraction_active(units))
    assert fraction_dead(phi) == pytest.approx(reference.fraction_dead(units))
    assert fraction_constant(phi) == pytest.approx(reference.fraction_constant(units))


def test_a_dead_unit_is_constant_and_a_unit_of_nan_is_active_and_not_constant() -> None:
    phi = torch.tensor([[0.0, 0.0, 2.0, math.nan], [0.0, 1.0, 2.0, math.nan]])
    assert fraction_active(phi).tolist() == [0.0, 0.5, 1.0, 1.0]
    assert fraction_dead(phi) == 0.25
    assert fraction_constant(phi) == 0.5
    assert fraction_dead(phi[:1]) == 0.5


def test_units_of_a_convolution_are_its_channels() -> None:
    phi = torch.zeros(2, 3, 4, 4)
    phi[1, 0, 2, 2] = 1.0
    phi[:, 1] = 5.0
    assert fraction_dead(phi) == pytest.approx(1 / 3)
    assert fraction_constant(phi) == pytest.approx(2 / 3)
    assert fraction_active(phi).tolist() == pytest.approx([1 / 32, 1, 0])
