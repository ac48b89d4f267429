"""Recording on a probe, against a backward pass that is written out."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests import reference
from tests.support.study import BASELINE
from vanishing.activations import ACTIVATIONS
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.mlp import build
from vanishing.params.study import Variant
from vanishing.recording.probe import record


@pytest.fixture
def probe(rng: torch.Generator) -> Examples:
    """Give 30 random examples."""
    images = torch.randn(30, 20, generator=rng)
    return Examples(images, torch.randint(0, 10, (30,), generator=rng))


@pytest.mark.parametrize("sum_in_float64", [True, False])
def test_records_agree_with_the_chain_rule(
    rng: torch.Generator, probe: Examples, sum_in_float64: bool
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    # 30 examples in batches of 7: the last has two
    records = record(network, probe, batch_size=7, sum_in_float64=sum_in_float64)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    expected = reference.backpropagation(
        [linear.weight.detach().double().numpy() for linear in linears],
        [linear.bias.detach().double().numpy() for linear in linears],
        probe.inputs.double().numpy(),
        probe.labels.numpy(),
    )
    for (name, layer), twin in zip(records.items(), expected, strict=True):
        assert set(layer.tensors) == set(twin), name
        for tensor, values in twin.items():
            recorded = layer.tensors[tensor].numpy()
            np.testing.assert_allclose(recorded, values, rtol=2e-4, atol=1e-7, err_msg=tensor)


def test_sums_in_float64_round_once_and_sums_in_float32_with_every_batch(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    total = torch.zeros(16, 20, dtype=torch.float64)
    for i in range(30):
        one = Examples(probe.inputs[i : i + 1], probe.labels[i : i + 1])
        total += record(network, one, 1)["hidden.0.linear"].tensors["weight_gradient"].double()
    exact = (total / 30).float()
    for sum_in_float64 in (True, False):
        records = record(network, probe, 1, sum_in_float64=sum_in_float64)
        gradient = records["hidden.0.linear"].tensors["weight_gradient"]
        assert torch.equal(gradient, exact) == sum_in_float64


def test_records_do_not_depend_on_the_batch_size(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    whole, batches = record(network, probe, 30), record(network, probe, 4)
    for name, layer in whole.items():
        for tensor, values in layer.tensors.items():
            torch.testing.assert_close(batches[name].tensors[tensor], values)


def test_scale_of_the_backpropagated_gradient_does_not_depend_on_the_probe(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    half = Examples(probe.inputs[:15], probe.labels[:15])
    name, tensor = "hidden.0.linear", "backpropagated_gradient"
    whole = record(network, probe, 5)[name].tensors[tensor]
    torch.testing.assert_close(record(network, half, 5)[name].tensors[tensor], whole[:15])


def test_preactivation_is_the_argument_of_the_activation(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE | {"normalization": "batch"}), 20, 10, rng)
    hidden = record(network, probe, 30)["hidden.1.linear"].tensors
    torch.testing.assert_close(torch.sigmoid(hidden["preactivation"]), hidden["activation"])
    assert hidden["preactivation"].mean(0).abs().max() < 1e-5  # normalised over the batch


def test_the_output_layer_has_no_activation(rng: torch.Generator, probe: Examples) -> None:
    records = record(build(Variant(**BASELINE), 20, 10, rng), probe, 30)
    without = [name for name, layer in records.items() if "activation" not in layer.tensors]
    assert without == ["output"]
    assert records["output"].activation is None
    assert records["hidden.0.linear"].activation is ACTIVATIONS["sigmoid"]


def test_recording_leaves_no_hooks(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    record(network, probe, 30)
    assert not any(module._forward_hooks for module in network.modules())


class Convolutional(nn.Module):
    """Two convolutions and an output layer, defined in another order than they are called."""

    def __init__(self, twice: bool = False, inplace: bool = False) -> None:
        super().__init__()
        self.output = nn.Linear(8, 10, bias=False)
        self.never_called = nn.Linear(3, 3)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=inplace)  # one module, called after each convolution
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images (batch, 16)."""
        h = self.relu(self.first(x.reshape(-1, 1, 4, 4)))
        for _ in range(2 if self.twice else 1):
            h = self.relu(self.second(h))
        logits: Tensor = self.output(nn.functional.max_pool2d(h, 2).flatten(1))
        return logits


@pytest.fixture
def images(rng: torch.Generator) -> Examples:
    """Give 12 random images of 16 pixels."""
    return Examples(torch.randn(12, 16, generator=rng), torch.arange(12) % 10)


def test_layers_of_any_network_come_in_the_order_of_their_calls(images: Examples) -> None:
    records = record(Convolutional(), images, 5)
    assert list(records) == ["first", "second", "output"]
    assert records["first"].tensors["preactivation"].shape == (12, 2, 4, 4)
    assert records["second"].tensors["weight_gradient"].shape == (2, 2, 3, 3)
    assert "bias_gradient" not in records["output"].tensors
    z, phi = (records["second"].tensors[name] for name in ("preactivation", "activation"))
    torch.testing.assert_close(z.relu(), phi)


def test_a_module_called_twice_is_refused_by_name(images: Examples) -> None:
    with pytest.raises(StudyError, match="second: called more than once"):
        record(Convolutional(twice=True), images, 5)


def test_an_activation_in_place_is_refused_by_name(images: Examples) -> None:
    with pytest.raises(StudyError, match="first: the activation after it works in place"):
        record(Convolutional(inplace=True), images, 5)


def test_an_output_that_is_no_tensor_is_refused_by_name(images: Examples) -> None:
    class Pair(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
            return super().forward(x), None

    with pytest.raises(StudyError, match="0: gives a tuple, not a tensor"):
        record(nn.Sequential(Pair(16, 10)), images, 5)
