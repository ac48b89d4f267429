"""Single steps, against sums that are written out."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vanishing.activations import ACTIVATIONS
from vanishing.theory import meanfield
from vanishing.theory.network import recursions
from vanishing.theory.network.recursions import Draw, NoTheoryError, State


def variances(*shape: int) -> Tensor:
    """Return variances between 0.01 and 10."""
    uniform = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return 10 ** (3 * uniform - 2)


def normal(square: Tensor, source: str = "layer") -> State:
    """Return the state of a layer's output."""
    mean, units = torch.zeros_like(square), torch.arange(square.shape[-1]).expand(square.shape)
    return State(square.requires_grad_(), mean, frozenset({source}), units, True)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("count", [5, 1000])
def test_expectations_are_those_of_each_variance(name: str, count: int) -> None:
    activation, q = ACTIVATIONS[name], variances(count)
    expected = np.transpose([meanfield.moments(activation, value) for value in q.tolist()])
    for computed, values in zip(recursions.expectations(activation, q), expected, strict=True):
        assert computed.numpy() == pytest.approx(values, rel=2e-4)


def test_expectations_of_nothing_are_those_of_zero() -> None:
    q = torch.tensor([0.0, 2.0], dtype=torch.float64)
    of_sigmoid = recursions.expectations(ACTIVATIONS["sigmoid"], q)
    assert [float(values[0]) for values in of_sigmoid] == [0.5, 0.25, 0.0625]
    assert recursions.expectations(ACTIVATIONS["relu"], q)[2].tolist() == [0, 0.5]


def test_a_variance_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NoTheoryError, match="is not finite"):
        recursions.expectations(ACTIVATIONS["tanh"], torch.tensor([1.0, torch.inf]))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_the_sum_over_taps_and_channels(groups: int) -> None:
    module = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups)
    square, draw = variances(2, 4, 7, 7), Draw("layer", 0.3, 0.1)
    state = normal(square)
    out = recursions.convolve(state, draw, module)
    padded = nn.functional.pad(square.detach(), (1, 1, 1, 1))
    gradient = variances(2, 6, 4, 4)
    expected_back = torch.zeros_like(padded)
    for channel in range(6):
        group = channel * groups // 6
        inputs = slice(4 // groups * group, 4 // groups * (group + 1))
        for row in range(4):
            for column in range(4):
                window = (..., slice(2 * row, 2 * row + 3), slice(2 * column, 2 * column + 3))
                taps = padded[:, inputs][window]
                expected = 0.3 * taps.sum((1, 2, 3)) + 0.1
                assert torch.allclose(out.square[:, channel, row, column], expected)
                share = 0.3 * gradient[:, channel, row, column]
                expected_back[:, inputs][window] += share[:, None, None, None]
    (back,) = torch.autograd.grad(out.square, state.square, gradient)
    assert torch.allclose(back, expected_back[:, :, 1:-1, 1:-1])


def test_layer_normalization_is_that_of_many_drawn_units() -> None:
    generator = torch.Generator().manual_seed(0)
    phi = torch.relu(2 * torch.randn(40, 2000, dtype=torch.float64, generator=generator))
    phi.requires_grad_()
    module = nn.LayerNorm(2000).double()
    nn.init.uniform_(module.weight, 0.5, 1.5)
    nn.init.uniform_(module.bias, -0.5, 0.5)
    out = module(phi)
    gradient = torch.randn(out.shape, dtype=torch.float64, generator=generator)
    (measured,) = torch.autograd.grad(out, phi, gradient)
    state = recursions.activate(
        normal(torch.full((1, 2000), 4.0, dtype=torch.float64)), ACTIVATIONS["relu"]
    )
    theory = recursions.normalize(state, module)
    ones = torch.ones_like(theory.square)
    (back,) = torch.autograd.grad(theory.square, state.square, ones)
    assert float(theory.square.detach().mean()) == pytest.approx(
        float(out.detach().square().mean()), rel=0.01
    )
    assert float(theory.mean.mean()) == pytest.approx(float(out.detach().mean()), abs=0.01)
    assert float(back.mean()) == pytest.approx(float(measured.square().mean()), rel=0.02)


def test_means_that_are_known_add_up() -> None:
    activated = recursions.activate(normal(variances(3, 5)), ACTIVATIONS["relu"])
    other = recursions.activate(normal(variances(3, 5), "other"), ACTIVATIONS["sigmoid"])
    total = recursions.add(activated, other, sign=-1)
    assert torch.allclose(total.mean, activated.mean - other.mean)
    cross = 2 * activated.mean * other.mean
    assert torch.allclose(total.square, activated.square + other.square - cross)
    shifted = recursions.shift(recursions.scale(total, -2), 0.5)
    assert torch.allclose(shifted.mean, -2 * total.mean + 0.5)
    assert torch.allclose(shifted.square, 4 * total.square - 2 * total.mean + 0.25)


def test_tensors_of_other_shapes_are_not_added() -> None:
    with pytest.raises(NoTheoryError, match="different shapes"):
        recursions.add(normal(variances(3, 5)), normal(variances(3, 1), "other"))
