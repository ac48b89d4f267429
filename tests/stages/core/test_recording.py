"""Recording against a backward pass written out by hand."""

import numpy as np
import pytest
import torch

from stages.core.idx import Examples
from stages.core.network import build, weight_layers
from stages.core.params import Variant
from stages.core.recording import record
from tests import reference
from tests.tiny import BASELINE


@pytest.fixture
def probe(rng: torch.Generator) -> Examples:
    """Give 30 random examples."""
    images = torch.randn(30, 20, generator=rng)
    return Examples(images, torch.randint(0, 10, (30,), generator=rng))


def test_recording_agrees_with_the_chain_rule(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    recorded = record(network, probe, batch_size=7)  # a last batch of two
    layers = weight_layers(network).values()
    expected = reference.backpropagation(
        [layer.weight.detach().double().numpy() for layer in layers],
        [layer.bias.detach().double().numpy() for layer in layers],
        probe.images.double().numpy(),
        probe.labels.numpy(),
    )
    for (name, tensors), layer in zip(recorded.items(), expected, strict=True):
        assert set(tensors) == set(layer), name
        for tensor, values in layer.items():
            found = tensors[tensor].numpy()
            np.testing.assert_allclose(found, values, rtol=2e-4, atol=1e-7, err_msg=tensor)


def test_recording_does_not_depend_on_the_batch_size(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    one, many = record(network, probe, 30), record(network, probe, 4)
    for name, tensors in one.items():
        for tensor, values in tensors.items():
            torch.testing.assert_close(many[name][tensor], values)


def test_scale_of_the_backpropagated_gradient_does_not_depend_on_the_probe(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    half = Examples(probe.images[:15], probe.labels[:15])
    name, tensor = "hidden.0.linear", "backpropagated_gradient"
    whole = record(network, probe, 5)[name][tensor]
    torch.testing.assert_close(record(network, half, 5)[name][tensor], whole[:15])


def test_preactivation_is_what_the_activation_sees(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE | {"normalization": "batch"}), 20, 10, rng)
    hidden = record(network, probe, 30)["hidden.1.linear"]
    torch.testing.assert_close(torch.sigmoid(hidden["preactivation"]), hidden["activation"])
    assert hidden["preactivation"].mean(0).abs().max() < 1e-5  # normalised over the batch


def test_the_output_layer_has_no_activation(rng: torch.Generator, probe: Examples) -> None:
    recorded = record(build(Variant(**BASELINE), 20, 10, rng), probe, 30)
    assert [name for name, tensors in recorded.items() if "activation" not in tensors] == ["output"]


def test_recording_leaves_no_hooks(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    record(network, probe, 30)
    assert not any(module._forward_hooks for module in network.modules())
