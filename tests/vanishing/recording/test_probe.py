"""Recording against a backward pass written out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests import reference
from tests.support.study import BASELINE
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


def test_recording_agrees_with_the_chain_rule(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    recorded = record(network, probe, batch_size=7)  # a last batch of two
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    expected = reference.backpropagation(
        [layer.weight.detach().double().numpy() for layer in layers],
        [layer.bias.detach().double().numpy() for layer in layers],
        probe.images.double().numpy(),
        probe.labels.numpy(),
    )
    for (name, seen), layer in zip(recorded.items(), expected, strict=True):
        assert set(seen.tensors) == set(layer), name
        for tensor, values in layer.items():
            found = seen.tensors[tensor].numpy()
            np.testing.assert_allclose(found, values, rtol=2e-4, atol=1e-7, err_msg=tensor)


def test_recording_does_not_depend_on_the_batch_size(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    one, many = record(network, probe, 30), record(network, probe, 4)
    for name, seen in one.items():
        for tensor, values in seen.tensors.items():
            torch.testing.assert_close(many[name].tensors[tensor], values)


def test_scale_of_the_backpropagated_gradient_does_not_depend_on_the_probe(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    half = Examples(probe.images[:15], probe.labels[:15])
    name, tensor = "hidden.0.linear", "backpropagated_gradient"
    whole = record(network, probe, 5)[name].tensors[tensor]
    torch.testing.assert_close(record(network, half, 5)[name].tensors[tensor], whole[:15])


def test_preactivation_is_what_the_activation_sees(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE | {"normalization": "batch"}), 20, 10, rng)
    hidden = record(network, probe, 30)["hidden.1.linear"].tensors
    torch.testing.assert_close(torch.sigmoid(hidden["preactivation"]), hidden["activation"])
    assert hidden["preactivation"].mean(0).abs().max() < 1e-5  # normalised over the batch


def test_the_output_layer_has_no_activation(rng: torch.Generator, probe: Examples) -> None:
    recorded = record(build(Variant(**BASELINE), 20, 10, rng), probe, 30)
    without = [name for name, seen in recorded.items() if "activation" not in seen.tensors]
    assert without == ["output"]


def test_recording_leaves_no_hooks(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    record(network, probe, 30)
    assert not any(module._forward_hooks for module in network.modules())


def test_signal_to_noise_agrees_with_its_twin(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    found = record(network, probe, batch_size=6)
    for name, seen in found.items():
        batches = [
            record(network, Examples(probe.images[i : i + 6], probe.labels[i : i + 6]), 6)[name]
            for i in range(0, 30, 6)
        ]
        gradients = [each.tensors["weight_gradient"].double().numpy() for each in batches]
        assert seen.signal_to_noise == pytest.approx(reference.signal_to_noise(gradients), rel=1e-4)


def test_a_single_batch_has_no_noise_to_compare_to(rng: torch.Generator, probe: Examples) -> None:
    recorded = record(build(Variant(**BASELINE), 20, 10, rng), probe, 30)
    assert all(math.isnan(seen.signal_to_noise) for seen in recorded.values())


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


def test_any_network_is_recorded_in_the_order_of_its_calls(images: Examples) -> None:
    recorded = record(Convolutional(), images, 5)
    assert list(recorded) == ["first", "second", "output"]
    assert recorded["first"].tensors["preactivation"].shape == (12, 2, 4, 4)
    assert recorded["second"].tensors["weight_gradient"].shape == (2, 2, 3, 3)
    assert "bias_gradient" not in recorded["output"].tensors
    z, phi = (recorded["second"].tensors[name] for name in ("preactivation", "activation"))
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
