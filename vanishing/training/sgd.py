"""Stochastic gradient descent that takes each parameter's step within the backward pass."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

Watch = Callable[[Tensor, Tensor], Callable[[], None]]


class Descent:
    """SGD with momentum: v ← μ·v + g, W ← W - η·v (Sutskever et al. 2013, as PyTorch has it).

    The result is that of `torch.optim.SGD`. But each parameter is updated as soon as its gradient
    g is complete, while both are in the processor's cache, and g is freed at once: memory holds
    the gradient of one layer instead of all. So `backward` is the step; there is no other call.

    Attributes:
        watch: While set, called with each parameter and its gradient before the update; what it
            returns is called after it.
    """

    def __init__(self, network: nn.Module, learning_rate: float, momentum: float) -> None:
        self.watch: Watch | None = None
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
        """Go on with the velocities that `state` returned."""
        for name, velocity in self._velocities.items():
            velocity.copy_(state[name])

    @torch.no_grad()
    def _step(self, velocity: Tensor, parameter: Tensor) -> None:
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - the hook is called when there is one
        after = self.watch(parameter, gradient) if self.watch else None
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
        if after:
            after()
