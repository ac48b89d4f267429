"""Units of one value, of tensors that come in parts, against the shares of all at once."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.reference import normal
from vanishing.stats import constant_units
from vanishing.stats.constant_units import find_constants, join, shares
from vanishing.stats.units import fraction_constant, fraction_dead


def linear() -> Tensor:
    """Make (examples, units): dead, constant, NaN, and one that only the last example moves."""
    phi = normal(1.0, 600).reshape(60, 10)
    phi[:, 3], phi[:, 4], phi[:, 5] = 0.0, 2.0, math.nan
    phi[:, 6] = 0.0
    phi[-1, 6] = 1e-40
    return phi


def convolution() -> Tensor:
    """Make (examples, channels, 5, 4): dead, constant, and channels of few values that move."""
    phi = normal(1.0, 30 * 6 * 20).reshape(30, 6, 5, 4).relu()
    phi[:, 0], phi[:, 1], phi[:, 2], phi[:, 3] = -0.0, 5.0, 0.0, 1.0
    phi[29, 2, 4, 3] = 1.0  # its last element
    phi[0, 3, 0, 1] = 2.0
    return phi


TENSORS: dict[str, Callable[[], Tensor]] = {
    "linear": linear,
    "convolution": convolution,
    "channels last": lambda: convolution().contiguous(memory_format=torch.channels_last),
    "half": lambda: convolution().bfloat16(),
    "complex": lambda: torch.complex(convolution(), torch.zeros(30, 6, 5, 4)),
    "one example": lambda: linear()[:1],
    "all dead": lambda: torch.zeros(3, 4),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("size", [60, 7, 1])
@pytest.mark.parametrize("small", [0, 2**14])
def test_shares_of_parts_are_those_of_all_at_once(
    name: str, size: int, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constant_units, "_SMALL", small)
    phi = TENSORS[name]()
    expected = [fraction_dead(phi), fraction_constant(phi)]
    joined = join([find_constants(part) for part in torch.split(phi, size)])
    assert shares(joined).tolist() == pytest.approx(expected)


def test_a_unit_that_differs_between_parts_alone_is_not_constant() -> None:
    parts = [torch.full((3, 2), 1.0), torch.tensor([[1.0, 0.0]])]
    assert join([find_constants(part) for part in parts]).constant.tolist() == [True, False]


def test_values_that_are_overwritten_do_not_count() -> None:
    phi = torch.zeros(3, 2)
    constants = find_constants(phi)
    phi.fill_(1.0)
    assert shares(constants).tolist() == [1.0, 1.0]
