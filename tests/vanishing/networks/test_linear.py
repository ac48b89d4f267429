"""The linear layer against PyTorch's, in float32 and in float64."""

import pytest
import torch
from torch import Tensor, nn

from vanishing.networks.linear import Linear

SHAPES = [(100, 784, 1000), (7, 5, 3), (1, 16, 10)]


def layer(fan_in: int, fan_out: int, rng: torch.Generator) -> Linear:
    """Draw a layer's parameters."""
    linear = Linear(fan_in, fan_out)
    for parameter in linear.parameters():
        nn.init.normal_(parameter, generator=rng)
    return linear


def results(linear: nn.Linear, x: Tensor) -> list[Tensor]:
    """Return y, dL/dx, dL/dW and dL/db with L = Σ y³ / 3."""
    x = x.clone().requires_grad_()
    linear.zero_grad()
    y = linear(x)
    (y.pow(3).sum() / 3).backward()
    assert x.grad is not None
    assert linear.weight.grad is not None
    assert linear.bias.grad is not None
    return [y.detach(), x.grad, linear.weight.grad, linear.bias.grad]


def twin(linear: Linear) -> nn.Linear:
    """Return PyTorch's layer with the same parameters."""
    other = nn.Linear(linear.in_features, linear.out_features)
    other.load_state_dict(linear.state_dict())
    return other


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_as_exact_as_pytorchs(
    shape: tuple[int, int, int], rng: torch.Generator
) -> None:
    batch, fan_in, fan_out = shape
    linear = layer(fan_in, fan_out, rng)
    x = torch.randn(batch, fan_in, generator=rng)
    exact = results(twin(linear).double(), x.double())
    ours, usual = results(linear, x), results(twin(linear), x)
    for a, b, e in zip(ours, usual, exact, strict=True):
        error, usual_error = ((values.double() - e).norm() / e.norm() for values in (a, b))
        assert error < 1e-5
        assert error < 3 * usual_error + 1e-8


def test_other_precisions_and_shapes_are_pytorchs(rng: torch.Generator) -> None:
    linear = layer(4, 3, rng)
    x = torch.randn(2, 5, 4, generator=rng)
    torch.testing.assert_close(linear(x), twin(linear)(x), rtol=0, atol=0)
    wide = linear.double()
    assert torch.equal(wide(x[0].double()), twin(linear).double()(x[0].double()))


def test_an_input_that_needs_no_gradient_gets_none(rng: torch.Generator) -> None:
    linear = layer(4, 3, rng)
    x = torch.randn(2, 4, generator=rng)
    linear(x).sum().backward()
    assert x.grad is None
    assert linear.bias.grad is not None
    torch.testing.assert_close(linear.bias.grad, torch.full((3,), 2.0))


def test_construction_draws_nothing() -> None:
    state = torch.get_rng_state()
    Linear(4, 3)
    assert torch.equal(torch.get_rng_state(), state)
