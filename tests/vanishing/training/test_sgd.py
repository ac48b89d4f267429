"""The step within the backward pass against PyTorch's optimizer."""

import torch
from torch import Tensor, nn

from vanishing.training.sgd import Descent


def network() -> nn.Sequential:
    """Build the same network every time."""
    made = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(1)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    return made


def loss(made: nn.Module, x: Tensor) -> Tensor:
    """Return some loss."""
    y: Tensor = made(x)
    return y.square().mean()


def test_it_is_sgd_with_momentum_bit_by_bit(rng: torch.Generator) -> None:
    ours, usual = network(), network()
    Descent(ours, learning_rate=0.1, momentum=0.9)
    optimizer = torch.optim.SGD(usual.parameters(), lr=0.1, momentum=0.9, fused=True)
    for _ in range(5):
        x = torch.randn(10, 6, generator=rng)
        loss(ours, x).backward()  # type: ignore[no-untyped-call]
        optimizer.zero_grad()
        loss(usual, x).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for a, b in zip(ours.state_dict().values(), usual.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_parameter_that_is_used_twice_takes_one_step(rng: torch.Generator) -> None:
    layer, twin = nn.Linear(4, 4), nn.Linear(4, 4)
    twin.load_state_dict(layer.state_dict())
    Descent(layer, learning_rate=0.1, momentum=0.0)
    x = torch.randn(3, 4, generator=rng)
    layer(layer(x)).square().sum().backward()
    twin(twin(x)).square().sum().backward()
    with torch.no_grad():
        for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
            assert b.grad is not None
            torch.testing.assert_close(a, b - 0.1 * b.grad)


def test_no_gradient_outlives_the_step(rng: torch.Generator) -> None:
    made = network()
    Descent(made, learning_rate=0.1, momentum=0.9)
    loss(made, torch.randn(10, 6, generator=rng)).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in made.parameters())


def test_the_watch_sees_a_gradient_before_its_step_and_the_parameter_after_it(
    rng: torch.Generator,
) -> None:
    made = nn.Linear(4, 2)
    descent = Descent(made, learning_rate=0.5, momentum=0.9)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def watch(parameter: Tensor, gradient: Tensor) -> object:
        before, known = parameter.detach().clone(), gradient.clone()
        return lambda: seen.append((before, known, parameter.detach().clone()))

    descent.watch = watch  # type: ignore[assignment]
    made(torch.randn(3, 4, generator=rng)).sum().backward()
    assert len(seen) == 2
    for before, gradient, after in seen:  # at the first step momentum has no past
        torch.testing.assert_close(after, before - 0.5 * gradient)
    descent.watch = None
    made(torch.randn(3, 4, generator=rng)).sum().backward()
    assert len(seen) == 2
