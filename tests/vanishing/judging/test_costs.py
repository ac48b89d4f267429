"""Costs that are counted from shapes are those of the networks and optimizers themselves."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from vanishing.judging.costs import multiply_adds, optimizer_state, parameters
from vanishing.networks.mlp import build
from vanishing.params.optimizers import Optimizer
from vanishing.params.study import Variant

BASELINE: dict[str, Any] = {
    "activation": "sigmoid",
    "depth": 3,
    "width": 7,
    "init": "default",
    "normalization": "none",
    "skip": False,
}
NETWORKS = {
    "plain": {},
    "one layer": {"depth": 1},
    "batch": {"normalization": "batch"},
    "skip": {"skip": True},
    "skip of the first layer too": {"skip": True, "width": 11},
    "wide": {"width": 20},
}
INPUTS, CLASSES = 11, 4


@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
def test_parameters_are_those_of_the_network(changes: dict[str, Any]) -> None:
    variant = Variant(**(BASELINE | changes))
    network = build(variant, INPUTS, CLASSES, torch.Generator())
    assert parameters(variant, INPUTS, CLASSES) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
def test_multiply_adds_are_those_of_the_modules_that_run(changes: dict[str, Any]) -> None:
    variant = Variant(**(BASELINE | changes))
    network = build(variant, INPUTS, CLASSES, torch.Generator()).eval()
    counted = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal counted
        if isinstance(module, nn.Linear):
            counted += inputs[0].shape[1] * output.shape[1]
        elif isinstance(module, nn.BatchNorm1d) or getattr(module, "skip", False):
            counted += output.shape[1]

    for module in network.modules():
        module.register_forward_hook(count)
    network(torch.zeros(1, INPUTS))
    assert multiply_adds(variant, INPUTS, CLASSES) == counted


OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}
MOMENTUM = {"momentum": 0.9}


@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in OPTIMIZERS), ("sgd", MOMENTUM), ("rmsprop", MOMENTUM)],
)
def test_an_optimizers_state_is_what_pytorchs_has_after_a_step(
    name: str, settings: dict[str, Any]
) -> None:
    weight = nn.Parameter(torch.ones(3, 5))
    running = OPTIMIZERS[name]([weight], **settings)
    weight.grad = torch.ones_like(weight)
    running.step()
    tensors = [value for value in running.state[weight].values() if torch.is_tensor(value)]
    of_params: Any = TypeAdapter(Optimizer).validate_python(
        {"name": name, "learning_rate": 0.1} | settings
    )
    held = sum(tensor.numel() for tensor in tensors if tensor.ndim)  # without the step's number
    assert optimizer_state(of_params) == held / weight.numel()
