"""Our steps against those of PyTorch's optimizer."""

import torch
from torch import Tensor, nn

from vanishing.training.sgd import SGD


def network() -> nn.Sequential:
    """Build the same network every time."""
    layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(1)
    for parameter in layers.parameters():
        nn.init.normal_(parameter, generator=generator)
    return layers


def loss(module: nn.Module, x: Tensor) -> Tensor:
    """Return some loss."""
    y: Tensor = module(x)
    return y.square().mean()


def test_it_is_sgd_with_momentum_bit_by_bit(rng: torch.Generator) -> None:
    ours, usual = network(), network()
    sgd = SGD(ours, learning_rate=0.1, momentum=0.9)
    optimizer = torch.optim.SGD(usual.parameters(), lr=0.1, momentum=0.9, fused=True)
    for _ in range(5):
        x = torch.randn(10, 6, generator=rng)
        sgd.step(loss(ours, x))
        optimizer.zero_grad()
        loss(usual, x).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for a, b in zip(ours.state_dict().values(), usual.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_parameter_that_is_used_twice_takes_one_step(rng: torch.Generator) -> None:
    layer, twin = nn.Linear(4, 4), nn.Linear(4, 4)
    twin.load_state_dict(layer.state_dict())
    sgd = SGD(layer, learning_rate=0.1, momentum=0.0)
    x = torch.randn(3, 4, generator=rng)
    sgd.step(layer(layer(x)).square().sum())
    twin(twin(x)).square().sum().backward()
    with torch.no_grad():
        for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
            assert b.grad is not None
            torch.testing.assert_close(a, b - 0.1 * b.grad)


def test_no_gradient_outlives_the_step(rng: torch.Generator) -> None:
    trained = network()
    sgd = SGD(trained, learning_rate=0.1, momentum=0.9)
    sgd.step(loss(trained, torch.randn(10, 6, generator=rng)))
    assert all(parameter.grad is None for parameter in trained.parameters())


class Steps:
    """Keeps each step: the parameter before it, its gradient, and the parameter after it."""

    def __init__(self) -> None:
        self.before_step: list[tuple[Tensor, Tensor]] = []
        self.after_step: list[Tensor] = []

    def before(self, parameter: Tensor, gradient: Tensor) -> None:
        """Keep copies."""
        self.before_step.append((parameter.detach().clone(), gradient.clone()))

    def after(self, parameter: Tensor) -> None:
        """Keep a copy."""
        self.after_step.append(parameter.detach().clone())


def test_an_observer_sees_a_gradient_before_its_step_and_the_parameter_after_it(
    rng: torch.Generator,
) -> None:
    layer = nn.Linear(4, 2)
    optimizer = SGD(layer, learning_rate=0.5, momentum=0.9)
    steps = Steps()
    optimizer.observer = steps
    optimizer.step(layer(torch.randn(3, 4, generator=rng)).sum())
    assert len(steps.after_step) == 2
    for (before, gradient), after in zip(steps.before_step, steps.after_step, strict=True):
        torch.testing.assert_close(after, before - 0.5 * gradient)  # momentum has no past yet
    optimizer.observer = None
    optimizer.step(layer(torch.randn(3, 4, generator=rng)).sum())
    assert len(steps.after_step) == 2
