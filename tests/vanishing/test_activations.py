"""Every entry of the registry against torch; a new entry is tested without a new test."""

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.activations import ACTIVATIONS, Activation

EVERY = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
GRID = np.linspace(-30, 30, 60001)


@EVERY
def test_function_and_derivative_are_those_of_torch(activation: Activation) -> None:
    z = torch.tensor(GRID[GRID != 0], requires_grad=True)  # at 0 a kink has no derivative
    phi = getattr(nn, activation.module)()(z)
    phi.sum().backward()
    assert z.grad is not None
    values = z.detach().numpy()
    np.testing.assert_allclose(activation.function(values), phi.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(activation.derivative(values), z.grad.numpy(), atol=1e-12)


@EVERY
def test_derivative_reaches_its_bounds_and_never_passes_them(activation: Activation) -> None:
    low, high = activation.derivative_bounds
    slopes = activation.derivative(GRID)
    assert slopes.min() == pytest.approx(low, abs=1e-6)
    assert slopes.max() == pytest.approx(high, abs=1e-6)
    assert low - 1e-15 <= slopes.min()
    assert slopes.max() <= high + 1e-15


@EVERY
def test_exactly_derivatives_that_jump_have_closed_forms_and_these_are_right(
    activation: Activation,
) -> None:
    jump = np.abs(np.diff(activation.derivative(GRID))).max()
    assert (activation.moments is not None) == (jump > 0.1)
    if activation.moments is not None:
        z = np.random.default_rng(0).normal(0, 1.5, 2_000_000)
        phi, slope = activation.function(z), activation.derivative(z)
        expected = (phi.mean(), (phi**2).mean(), (slope**2).mean())
        assert activation.moments(1.5**2) == pytest.approx(expected, rel=5e-3)
