"""Recording on a probe, against a backward pass that is written out."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests import reference
from tests.support.study import BASELINE
from vanishing.activations import ACTIVATIONS
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.mlp import build
from vanishing.params.study import Variant
from vanishing.recording.layers import blocks
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
    records = record(network, probe, batch_size=7, sum_in_float64=sum_in_float64).layers
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
        layer = record(network, one, 1).layers["hidden.0.linear"]
        total += layer.tensors["weight_gradient"].double()
    exact = (total / 30).float()
    for sum_in_float64 in (True, False):
        records = record(network, probe, 1, sum_in_float64=sum_in_float64).layers
        gradient = records["hidden.0.linear"].tensors["weight_gradient"]
        assert torch.equal(gradient, exact) == sum_in_float64


def test_records_do_not_depend_on_the_batch_size(rng: torch.Generator, probe: Examples) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    whole, batches = record(network, probe, 30).layers, record(network, probe, 4).layers
    for name, layer in whole.items():
        for tensor, values in layer.tensors.items():
            torch.testing.assert_close(batches[name].tensors[tensor], values)


def test_scale_of_the_backpropagated_gradient_does_not_depend_on_the_probe(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE), 20, 10, rng)
    half = Examples(probe.inputs[:15], probe.labels[:15])
    name, tensor = "hidden.0.linear", "backpropagated_gradient"
    whole = record(network, probe, 5).layers[name].tensors[tensor]
    torch.testing.assert_close(record(network, half, 5).layers[name].tensors[tensor], whole[:15])


def test_preactivation_is_the_argument_of_the_activation(
    rng: torch.Generator, probe: Examples
) -> None:
    network = build(Variant(**BASELINE | {"normalization": "batch"}), 20, 10, rng)
    hidden = record(network, probe, 30).layers["hidden.1.linear"].tensors
    torch.testing.assert_close(torch.sigmoid(hidden["preactivation"]), hidden["activation"])
    assert hidden["preactivation"].mean(0).abs().max() < 1e-5  # normalised over the batch


def test_the_output_layer_has_no_activation(rng: torch.Generator, probe: Examples) -> None:
    records = record(build(Variant(**BASELINE), 20, 10, rng), probe, 30).layers
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

    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.output = nn.Linear(8, 10, bias=False)
        self.never_called = nn.Linear(3, 3)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU()  # one module, called after each convolution
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
    records = record(Convolutional(), images, 5).layers
    assert list(records) == ["first", "second", "output"]
    assert records["first"].tensors["preactivation"].shape == (12, 2, 4, 4)
    assert records["second"].tensors["weight_gradient"].shape == (2, 2, 3, 3)
    assert "bias_gradient" not in records["output"].tensors
    z, phi = (records["second"].tensors[name] for name in ("preactivation", "activation"))
    torch.testing.assert_close(z.relu(), phi)


def test_a_module_called_twice_has_a_record_per_call(images: Examples) -> None:
    records = record(Convolutional(twice=True), images, 5).layers
    assert list(records) == ["first", "second", "second#2", "output"]
    assert "weight_gradient" in records["second"].tensors
    assert set(records["second#2"].tensors) == {
        "preactivation",
        "activation",
        "backpropagated_gradient",
    }


def test_an_activation_in_place_leaves_z(images: Examples) -> None:
    network = Convolutional()
    expected = record(network, images, 5).layers
    network.relu = nn.ReLU(inplace=True)
    for name, layer in record(network, images, 5).layers.items():
        for tensor, values in layer.tensors.items():
            assert torch.equal(values, expected[name].tensors[tensor]), (name, tensor)


def test_of_several_outputs_the_first_is_recorded_and_no_tensor_is_refused(
    images: Examples,
) -> None:
    class Pair(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
            return super().forward(x), None

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair(16, 10)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.pair(x)[0]
            return logits

    layer = record(First(), images, 5).layers["pair"]
    assert layer.tensors["preactivation"].shape == (12, 10)

    class Nothing(nn.Linear):
        def forward(self, _x: Tensor) -> None:  # type: ignore[override]
            return None

    with pytest.raises(StudyError, match="0: gives a NoneType, not a tensor"):
        record(nn.Sequential(Nothing(16, 10)), images, 5)


def test_what_no_gradient_reaches_has_none(images: Examples) -> None:
    network = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 10))
    network[0].requires_grad_(False)
    records = record(network, images, 5).layers
    assert set(records["0"].tensors) == {"weight", "preactivation", "activation"}
    assert "backpropagated_gradient" in records["2"].tensors


class Sequence(nn.Module):
    """A recurrent layer over the four rows of an image, a residual block, and an output layer."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.rnn: nn.RNNBase = getattr(nn, mode)(4, 6, batch_first=True)
        self.blocks = nn.ModuleList([Residual(6), Residual(6)])
        self.output = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images (batch, 16)."""
        h = self.rnn(x.reshape(-1, 4, 4))[0][:, -1]
        for block in self.blocks:
            h = block(h)
        logits: Tensor = self.output(h)
        return logits


class Residual(nn.Module):
    """h ↦ h + tanh(W h + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.tanh = nn.Tanh()

    def forward(self, h: Tensor) -> Tensor:
        """Apply the block."""
        out: Tensor = h + self.tanh(self.linear(h))
        return out


def test_blocks_have_the_gradient_along_the_stream(images: Examples) -> None:
    network = Sequence("RNN")
    assert list(blocks(network)) == ["blocks.0", "blocks.1"]
    recording = record(network, images, 5, blocks=blocks(network))
    assert list(recording.layers) == ["rnn", "blocks.0.linear", "blocks.1.linear", "output"]
    h = images.inputs.reshape(-1, 4, 4)
    first = network.blocks[0](network.rnn(h)[0][:, -1]).detach().requires_grad_()
    loss = cross_entropy(network.output(network.blocks[1](first)), images.labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, first)
    block = recording.blocks["blocks.0"]
    assert block.stream == pytest.approx(first.square().mean().item(), rel=1e-5)
    assert block.stream_gradient == pytest.approx(gradient.square().mean().item(), rel=1e-5)
    assert [b.position for b in recording.blocks.values()] == [3, 5]


@pytest.mark.parametrize("mode", ["RNN", "LSTM", "GRU"])
def test_recurrent_layers_have_the_gradient_at_each_time(mode: str, images: Examples) -> None:
    layer = record(Sequence(mode), images, 5).layers["rnn"]
    assert layer.tensors["preactivation"].shape == (12, 6, 4)  # a unit is the second axis
    assert layer.matrices == ("weight_ih_l0", "weight_hh_l0")
    names = {"hidden_gradient_l0", *(["cell_gradient_l0"] if mode == "LSTM" else [])}
    assert layer.through_time.keys() == names
    hidden = layer.through_time["hidden_gradient_l0"]
    assert hidden.shape == (4,)
    # The loss depends on the last state alone, by the output.
    last = layer.tensors["backpropagated_gradient"][:, :, -1]
    assert hidden[-1].item() == pytest.approx(last.square().mean().sqrt().item(), rel=1e-5)
    assert (hidden > 0).all()
