"""Stochastic gradient descent whose gradients are freed as soon as they are used."""

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


class SGD:
    """SGD with momentum: v ← μ·v + g, W ← W - η·v (Sutskever et al. 2013, as PyTorch has it).

    The result is that of `torch.optim.SGD`, bit by bit.

    On a CPU each parameter is updated within the backward pass as soon as its gradient g is
    complete, while both are in the processor's cache, and g is freed at once: memory holds the
    gradient of one layer instead of all. On a GPU, whose time goes into starting kernels, all
    parameters are updated together after the backward pass.

    Attributes:
        observer: While set, it sees each parameter's step.
    """

    def __init__(self, network: nn.Module, learning_rate: float, momentum: float) -> None:
        self.observer: Observer | None = None
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._velocities = {n: torch.zeros_like(p) for n, p in network.named_parameters()}
        self._parameters: list[Tensor] = list(network.parameters())
        self._in_backward = all(parameter.is_cpu for parameter in self._parameters)
        if self._in_backward:
            for parameter, velocity in zip(
                self._parameters, self._velocities.values(), strict=True
            ):
                step = partial(self._step_alone, velocity)
                parameter.register_post_accumulate_grad_hook(step)  # type: ignore[no-untyped-call]

    def step(self, loss: Tensor) -> None:
        """Take a step along the gradients of a loss."""
        if self._in_backward:
            loss.backward()  # type: ignore[no-untyped-call] # its hooks are the step
            return
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        steps = [
            step
            for step in zip(self._parameters, gradients, self._velocities.values(), strict=True)
            if step[1] is not None  # where the loss depends on the parameter
        ]
        self._step(*(list(column) for column in zip(*steps, strict=True)))

    def state(self) -> dict[str, Tensor]:
        """Return {parameter: its velocity v}; they change with the next step."""
        return dict(self._velocities)

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the velocities that `state` returned."""
        for name, velocity in self._velocities.items():
            velocity.copy_(state[name])

    def _step_alone(self, velocity: Tensor, parameter: Tensor) -> None:
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - the hook is called when there is one
        parameter.grad = None
        self._step([parameter], [gradient], [velocity])

    @torch.no_grad()
    def _step(
        self, parameters: list[Tensor], gradients: list[Tensor], velocities: list[Tensor | None]
    ) -> None:
        if self.observer:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                self.observer.before(parameter, gradient)
        sgd(
            parameters,
            gradients,
            velocities,
            fused=True,
            lr=self._learning_rate,
            momentum=self._momentum,
            weight_decay=0.0,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        if self.observer:
            for parameter in parameters:
                self.observer.after(parameter)
