"""The multilayer perceptron: its shapes, its initialisation, and the options of a variant."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.study import BASELINE
from vanishing.activations import ACTIVATIONS
from vanishing.networks.mlp import MLP, build
from vanishing.params.study import Variant


def variant(**changes: Any) -> Variant:
    """Return the tiny baseline with some fields changed."""
    return Variant(**BASELINE | changes)


def network(seed: int = 0, **changes: Any) -> MLP:
    """Build a network of 20 inputs and 10 classes."""
    return build(variant(**changes), 20, 10, torch.Generator().manual_seed(seed))


def linears(network: MLP) -> list[nn.Linear]:
    """Return the weight layers of a multilayer perceptron, from the input on."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def test_depth_and_width_are_those_of_the_variant() -> None:
    shapes = [tuple(layer.weight.shape) for layer in linears(network(depth=2, width=7))]
    assert shapes == [(7, 20), (7, 7), (10, 7)]


@pytest.mark.parametrize(
    ("changes", "variance"),
    [
        ({"init": "default"}, lambda n, _: 1 / (3 * n)),
        ({"init": "xavier_uniform"}, lambda n, m: 2 / (n + m)),
        ({"init": "he_uniform"}, lambda n, _: 2 / n),
        ({"init": "normal", "std": 0.7}, lambda *_: 0.49),
    ],
    ids=["default", "xavier_uniform", "he_uniform", "normal"],
)
def test_weights_have_the_variance_of_their_initialisation(
    changes: dict[str, Any], variance: Any
) -> None:
    for layer in linears(network(width=300, **changes))[:3]:
        expected = variance(layer.in_features, layer.out_features)
        count = layer.weight.numel()
        # the sample variance of n normal numbers strays by √(2/n) of itself; five times that
        assert layer.weight.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / count))


def test_biases_do_not_depend_on_the_initialisation_of_weights() -> None:
    for layer in linears(network(init="he_uniform", width=300)):
        assert layer.bias.abs().max() <= 1 / math.sqrt(layer.in_features)
        assert layer.bias.std() > 0


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, again, other = (network(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    network(normalization="batch")
    assert torch.equal(before, torch.get_rng_state())


def test_a_skip_connection_adds_the_input_of_hidden_layers_of_equal_width() -> None:
    x = torch.rand(5, 20, generator=torch.Generator().manual_seed(1))
    skipping = network(skip=True)
    first, *rest, output = linears(skipping)
    h = torch.sigmoid(first(x))  # 20 inputs, 16 units: nothing to add
    for linear in rest:
        h = h + torch.sigmoid(linear(h))
    torch.testing.assert_close(skipping(x), output(h))


def test_batch_normalization_stands_before_the_activation() -> None:
    x = torch.rand(50, 20, generator=torch.Generator().manual_seed(1))
    normalising = network(normalization="batch")
    preactivations: list[Tensor] = []
    first = next(m for m in normalising.modules() if isinstance(m, nn.Sigmoid))
    first.register_forward_hook(lambda _module, args, _output: preactivations.append(args[0]))
    normalising(x)
    torch.testing.assert_close(preactivations[0].mean(0), torch.zeros(16), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("relu", torch.relu),
        ("swish", nn.functional.silu),
    ],
)
def test_activation_is_the_named_function(name: str, function: Any) -> None:
    z = torch.linspace(-5, 5, 11)
    kind = getattr(nn, ACTIVATIONS[name].module)
    first = next(m for m in network(activation=name).modules() if isinstance(m, kind))
    torch.testing.assert_close(first(z), function(z))
