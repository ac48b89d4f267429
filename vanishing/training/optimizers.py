"""The optimizers of a training, each as the step loop drives it."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from vanishing.networks.mlp import MLP
from vanishing.params import optimizers as settings_of
from vanishing.params.study import NONE, ClipNorm, Training
from vanishing.training.sgd import SGD, Observer

_CAPTURABLE = ("adam", "adamw", "rmsprop")  # those that need to be told; SGD needs not


class Optimizer(Protocol):
    """Takes steps along the gradients of losses.

    Attributes:
        observer: While set, it sees each parameter's step.
    """

    observer: Observer | None

    def step(self, loss: Tensor) -> None:
        """Take a step along the gradients of a loss, and free them."""

    def state(self) -> dict[str, Tensor]:
        """Return {name: tensor} of all that the next step depends on; they change with it."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the tensors that `state` returned."""


def make_optimizer(network: nn.Module, training: Training) -> Optimizer:
    """Make the optimizer of a training.

    That of the multilayer perceptron under plain SGD updates each parameter within the backward
    pass. Other networks may need a parameter after its gradient is complete, clipping needs all
    gradients first, and other optimizers are PyTorch's.

    Args:
        network: To train, on its device.
        training: Its optimizer and whether it clips.

    Returns:
        The optimizer.
    """
    match training.optimizer:
        case settings_of.Sgd(nesterov=False, weight_decay=0.0) as sgd if (
            isinstance(network, MLP) and training.clip_norm == NONE
        ):
            return SGD(network, sgd.learning_rate, sgd.momentum)
        case optimizer:
            return AfterBackward(network, optimizer, training.clip_norm)


class AfterBackward:
    """An optimizer of PyTorch's, which updates all parameters after the backward pass.

    Where there is a limit, gradients are scaled down before the step, so that the l2 norm of all of
    them together does not exceed it (Pascanu et al. 2013). The observer sees the scaled ones.

    Attributes:
        observer: While set, it sees each parameter's step.
    """

    def __init__(
        self, network: nn.Module, optimizer: settings_of.Optimizer, clip_norm: ClipNorm
    ) -> None:
        self.observer: Observer | None = None
        self._named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._clip_norm = clip_norm if isinstance(clip_norm, float | int) else None
        self._optimizer = _make(optimizer, self._named.values())

    def step(self, loss: Tensor) -> None:
        """Take a step along the gradients of a loss, and free them."""
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for p in self._named.values() if p.grad is not None]
        if self._clip_norm is not None:
            clip_grad_norm_(parameters, self._clip_norm)
        if self.observer:
            for parameter in parameters:
                assert parameter.grad is not None  # noqa: S101 - chosen above
                self.observer.before(parameter, parameter.grad)
        self._optimizer.step()
        if self.observer:
            for parameter in parameters:
                self.observer.after(parameter)
        self._optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """Return {parameter.state: tensor}; they change with the next step."""
        return {
            f"{name}.{key}": tensor
            for name, parameter in self._named.items()
            for key, tensor in self._optimizer.state[parameter].items()
            if tensor is not None
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the tensors that `state` returned."""
        by_position: dict[int, dict[str, Tensor]] = {}
        for position, name in enumerate(self._named):
            tensors = {key: state[key] for key in state if key.rpartition(".")[0] == name}
            if tensors:
                by_position[position] = {k.rpartition(".")[2]: t for k, t in tensors.items()}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": by_position, "param_groups": groups})


def _make(optimizer: settings_of.Optimizer, given: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Make PyTorch's optimizer; on a GPU one whose step can be captured in a CUDA graph."""
    parameters = list(given)
    make: Callable[..., torch.optim.Optimizer]
    match optimizer:
        case settings_of.Sgd(momentum=momentum, nesterov=nesterov):
            make = partial(torch.optim.SGD, momentum=momentum, nesterov=nesterov, fused=True)
        case settings_of.Adam(betas=betas, epsilon=epsilon):
            make = partial(torch.optim.Adam, betas=betas, eps=epsilon, fused=True)
        case settings_of.AdamW(betas=betas, epsilon=epsilon):
            make = partial(torch.optim.AdamW, betas=betas, eps=epsilon, fused=True)
        case settings_of.RmsProp(alpha=alpha, epsilon=epsilon, momentum=momentum):
            make = partial(torch.optim.RMSprop, alpha=alpha, eps=epsilon, momentum=momentum)
        case settings_of.Adagrad(epsilon=epsilon):
            make = partial(torch.optim.Adagrad, eps=epsilon)
    if parameters[0].is_cuda and optimizer.name in _CAPTURABLE:
        make = partial(make, capturable=True)
    return make(parameters, lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay)
