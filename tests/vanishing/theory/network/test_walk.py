"""Predictions for any network: beside measurements of initialisations, and where there are none."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.agreement import CASES, Case, Recurrent, differences, residual
from tests.support.study import BASELINE
from vanishing.initialisers import bias_variance
from vanishing.networks.mlp import build
from vanishing.params.study import Variant
from vanishing.stats.exact import rms
from vanishing.theory import meanfield
from vanishing.theory.network.recursions import NoTheoryError
from vanishing.theory.network.walk import predict_network

AGREEMENT = 0.03  # largest relative difference
Network = Callable[[], nn.Module]


def examples(*shape: int) -> Tensor:
    """Return inputs from N(0, 1)."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_q_and_hops_are_those_of_initialisations(case: Case) -> None:
    deviations = differences(case)
    for quantity in ("q", "hop", "hop in time"):
        assert deviations[quantity] == pytest.approx(0, abs=AGREEMENT)
    assert len(deviations["q"]) >= 1


def test_the_same_weights_at_each_step_are_as_new_ones_for_a_while_in_few_units() -> None:
    case = Case("64 units, 28 steps", lambda: Recurrent(64), (30, 28, 20), draws=60)
    in_time = differences(case)["hop in time"]  # from the first step on
    assert in_time[-10:] == pytest.approx(0, abs=AGREEMENT)
    assert in_time == pytest.approx(0, abs=0.08)


def test_every_recurrent_layer_has_hops_in_time() -> None:
    (layer,) = predict_network(Recurrent(50, layers=2), examples(5, 8, 20))
    assert list(layer.hops_in_time) == ["hidden_gradient_l0", "hidden_gradient_l1"]
    assert {len(hops) for hops in layer.hops_in_time.values()} == {7}


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_multilayer_perceptron_has_the_theory_that_is_written_for_it(
    activation: str, skip: bool
) -> None:
    changes = {"activation": activation, "skip": skip, "depth": 5, "width": 1000}
    variant = Variant(**BASELINE | changes)
    network = build(variant, 300, 10, torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, nn.Linear):  # a few biases have their variance by chance alone
            bias = module.bias.detach()
            bias *= math.sqrt(bias_variance(module.in_features)) / rms(bias)
    inputs = functional.normalize(examples(20, 300)) * 10  # the theory has one q for all examples
    layers = predict_network(network, inputs)
    expected = meanfield.predict(variant, 300, layers[0].q)
    assert [layer.q for layer in layers] == pytest.approx([e.q for e in expected], rel=3e-3)
    assert [layer.hop for layer in layers[:-1]] == pytest.approx(
        [e.hop for e in expected[:-1]], rel=3e-3
    )
    assert meanfield.attenuation(layers) == pytest.approx(meanfield.attenuation(expected), rel=0.01)


def test_functions_and_methods_are_as_modules() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv1d(2, 50, 3), nn.Linear(50 * 10, 40)
            self.third, self.output = nn.Linear(40, 40), nn.Linear(40, 10)

        def forward(self, x: Tensor) -> Tensor:
            h = functional.pad(x, (1, 1))
            h = functional.relu(self.first(h)).view(x.size(0), -1)
            h = self.second(h)
            h = h - 0.5 * torch.tanh(self.third(h))
            logits: Tensor = self.output(h)
            return logits

    case = Case("functions", Functions, (40, 2, 10), draws=40)
    deviations = differences(case)  # z is each layer's own output, as no module follows
    assert len(deviations["q"]) == 3
    assert deviations["q"] == pytest.approx(0, abs=0.1)  # narrow
    assert deviations["hop"] == pytest.approx(0, abs=0.1)


class _Calls(nn.Module):
    """A linear layer, a function of its output, and another."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.other = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.scale = nn.LayerNorm(8), nn.Parameter(torch.ones(8))
        self.overwrite = nn.ReLU(inplace=True)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.other(torch.relu(self.function(self, self.first(x))))
        return out


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "shared": (lambda net, h: net.first(torch.tanh(h)), "first: it is called more than once"),
    "same-source": (
        lambda _, h: h + torch.tanh(h),
        "add: it adds two functions of the output of f",
    ),
    "not-normal": (lambda _, h: torch.tanh(h), "relu: its argument is not normal"),
    "mean": (lambda _, h: h + 1, "relu: its argument has another mean than zero"),
    "gate": (lambda net, h: h * net.other(torch.tanh(h)), "mul: it combines activations with each"),
    "parameter": (lambda net, h: h * net.scale, "scale: a parameter or buffer is used outside"),
    "unknown": (lambda _, h: torch.sin(h), "sin: it has no recursion here"),
    "method": (lambda _, h: h.cumsum(1), "cumsum: it has no recursion here"),
    "branch": (lambda _, h: h if h.sum() > 0 else -h, "torch.fx cannot trace its forward pass: .*"),
    "overwritten": (lambda net, h: net.overwrite(h) + h, "overwrite: it overwrites its argument"),
    "average": (lambda _, h: h.mean(1, keepdim=True).expand(-1, 8), "expand: it has no recursion"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_without_recursion_is_refused_by_name(name: str) -> None:
    function, message = FUNCTIONS[name]
    with pytest.raises(NoTheoryError, match=f"^{message}"):
        predict_network(_Calls(function), examples(4, 8))


def _orthogonal() -> nn.Module:
    network = Recurrent(64)
    nn.init.orthogonal_(network.rnn.get_parameter("weight_hh_l0"))
    return network


def _identity() -> nn.Module:
    network = Recurrent(64, "relu")
    nn.init.eye_(network.rnn.get_parameter("weight_hh_l0"))
    return network


def _with_bias() -> nn.Module:
    layer = nn.Linear(20, 30)
    nn.init.ones_(layer.bias)
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(30, 10))


def _pooled(pool: nn.Module) -> nn.Module:
    layers = (nn.Conv2d(1, 8, 3), pool, nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.LazyLinear(10))


def _tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20))
    network[2].weight = network[0].weight
    return network


IMAGES = (4, 1, 14, 14)
MODULES: dict[str, tuple[Network, tuple[int, ...], str]] = {
    "orthogonal": (_orthogonal, (4, 6, 20), r"rnn\.weight_hh_l0: its weights are orthogonal"),
    "identity": (_identity, (4, 6, 20), r"rnn\.weight_hh_l0: .* the identity"),
    "lstm": (lambda: nn.Sequential(nn.LSTM(20, 8)), (4, 6, 20), "0: gates multiply activations"),
    "gru": (lambda: nn.Sequential(nn.GRU(20, 8)), (4, 6, 20), "0: gates multiply activations"),
    "batch": (
        lambda: nn.Sequential(nn.Linear(20, 8), nn.BatchNorm1d(8)),
        (4, 20),
        "1: batch normalization couples",
    ),
    "bias": (_with_bias, (4, 20), "0: its biases are not drawn around zero"),
    "tied": (_tied, (4, 20), "2: it shares its weights with 0"),
    "maximum": (lambda: _pooled(nn.MaxPool2d(2)), IMAGES, "1: the largest of several values"),
    "average": (lambda: _pooled(nn.AvgPool2d(2)), IMAGES, "3: the variance of a mean depends on"),
    "overlap": (lambda: _pooled(nn.AvgPool2d(3, 1)), IMAGES, "1: its windows overlap"),
    "positions": (lambda: _pooled(nn.LayerNorm(12)), IMAGES, "1: it normalizes over positions"),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(1, 8, 3)),
        IMAGES,
        "0: ConvTranspose2d has no recursion here",
    ),
    "input": (
        lambda: nn.Sequential(nn.Tanh(), nn.Linear(20, 8)),
        (4, 20),
        "0: its argument is not",
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(20, 8), nn.Dropout(0.1)),
        (4, 20),
        "1: dropout draws anew",
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_without_recursion_is_refused_by_name(name: str) -> None:
    network, shape, message = MODULES[name]
    torch.manual_seed(0)
    built, inputs = network(), examples(*shape)
    if name not in ("lstm", "gru"):
        built.eval()(inputs)  # lazy layers get their shape
    with pytest.raises(NoTheoryError, match=f"^{message}"):
        predict_network(built.train(), inputs)


@pytest.mark.parametrize("network", [nn.LSTM(3, 4), nn.MultiheadAttention(4, 2)])
def test_a_network_that_is_one_module_without_recursion_is_refused_by_its_kind(
    network: nn.Module,
) -> None:
    with pytest.raises(
        NoTheoryError, match=f"{type(network).__name__}: .* activations by each other"
    ):
        predict_network(network, examples(5, 8, 3))


@pytest.mark.parametrize(
    ("layer", "shape", "problem"),
    [
        (nn.Linear(3, 4), (5, 4), r"0: takes 3 features; given 4, by an input of shape \(5, 4\)"),
        (nn.Conv2d(3, 4, 3), (5, 1, 8, 8), "0: takes 3 features; given 1"),
        (nn.RNN(3, 4), (5, 8, 2), "0: takes 3 features; given 2"),
    ],
    ids=["linear", "conv", "rnn"],
)
def test_inputs_that_a_layer_cannot_take_are_refused(
    layer: nn.Module, shape: tuple[int, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        predict_network(nn.Sequential(layer), examples(*shape))


def test_the_network_and_the_inputs_stay_as_they_are() -> None:
    network, inputs = residual("pre"), examples(5, 200)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copied = inputs.clone()
    predict_network(network, inputs)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(inputs, copied)


def test_an_example_without_a_signal_passes_nothing_through_a_rectifier() -> None:
    network = nn.Sequential(
        nn.Linear(20, 30, bias=False), nn.ReLU(), nn.Linear(30, 30, bias=False), nn.ReLU(),
        nn.Linear(30, 10),
    )  # fmt: skip
    first, second = predict_network(network, torch.zeros(3, 20))
    assert (first.q, second.q) == (0, 0)
    assert math.isnan(first.hop)  # 0 / 0
