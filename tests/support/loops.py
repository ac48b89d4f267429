"""Small networks and loops that are watched."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


def small_model() -> nn.Sequential:
    """Draw a small network, always the same."""
    rng = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(), nn.Tanh(), nn.Linear(5, 3))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=rng)
    return model


def take_steps(model: nn.Module, optimizer: Optimizer, count: int, watch: Any = None) -> None:
    """Take steps of an ordinary loop."""
    rng = torch.Generator().manual_seed(1)
    for _ in range(count):
        loss = model(torch.randn(6, 4, generator=rng)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if watch:
            watch.loss(loss)


def overflowing(model: nn.Module, scaler: torch.amp.GradScaler, factor: float) -> None:
    """Compute gradients, which are infinite if the factor is."""
    scaler.scale(model(torch.ones(2, 4)).sum() * factor).backward()
