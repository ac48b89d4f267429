"""Stochastic gradient descent that takes each parameter's step within the backward pass."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class Observer(Protocol):
    """Sees each parameter's step."""

    def before(self, parameter: Tensor, gradient: Tensor) -> object:
        """Look at a parameter and its gradient before the step."""

    def after(self, parameter: Tensor) -> object:
        """Look at the parameter after the step."""


class SGDInBackward:
    """SGD with momentum: v ← μ·v + g, W ← W - η·v (Sutskever et al. 2013, as PyTorch has it).

    The result is that of `torch.optim.SGD`. But each parameter is updated as soon as its gradient
    g is complete, while both are in the processor's cache, and g is freed at once: memory holds
    the gradient of one layer instead of all. So `backward` is the step; there is no other call.

    Attributes:
        observer: While set, it sees each parameter's step.
    """

    def __init__(self, network: nn.Module, learning_rate: float, momentum: float) -> None:
        self.observer: Observer | None = None
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._velocities = {n: torch.zeros_like(p) for n, p in network.named_parameters()}
        for name, parameter in network.named_parameters():
            step = partial(self._step, self._velocities[name])
            parameter.register_post_accumulate_grad_hook(step)  # type: ignore[no-untyped-call]

    def state(self) -> dict[str, Tensor]:
        """Return {parameter: its velocity v}; they change with the next step."""
        return dict(self._velocities)

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the velocities that `state` returned."""
        for name, velocity in self._velocities.items():
            velocity.copy_(state[name])

    @torch.no_grad()
    def _step(self, velocity: Tensor, parameter: Tensor) -> None:
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - the hook is called when there is one
        if self.observer:
            self.observer.before(parameter, gradient)
        sgd(
            [parameter],
            [gradient],
            [velocity],
            fused=True,
            lr=self._learning_rate,
            momentum=self._momentum,
            weight_decay=0.0,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        parameter.grad = None
        if self.observer:
            self.observer.after(parameter)
