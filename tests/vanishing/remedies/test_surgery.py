"""Tests of the surgery on copies of networks."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from vanishing.remedies import surgery
from vanishing.remedies.surgery import NotApplicableError
from vanishing.remedies.task import Split


def _mlp(
    activation: type[nn.Module] = nn.Sigmoid, width: int = 16, depth: int = 3
) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [m for _ in range(depth) for m in (nn.Linear(width, width), activation())]
    return nn.Sequential(*hidden, nn.Linear(width, 4))


def _batch(width: int = 16) -> Split:
    generator = torch.Generator().manual_seed(1)
    return Split(torch.randn(64, width, generator=generator), torch.zeros(64, dtype=torch.int64))


def test_weights_are_drawn_anew_and_biases_become_0() -> None:
    model = _mlp()
    surgery.reinitialise(model, nn.init.xavier_uniform_)
    weight = model.get_parameter("0.weight")
    assert float(weight.detach().abs().max()) <= math.sqrt(6 / 32)
    assert float(weight.detach().std()) == pytest.approx(math.sqrt(2 / 32), rel=0.1)
    assert not model.get_parameter("2.bias").detach().any()


def test_frozen_weights_and_embeddings_stay() -> None:
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    model[1].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    surgery.reinitialise(model, nn.init.orthogonal_)
    kept = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert kept == {"0.weight", "1.weight", "1.bias"}


def test_the_matrices_of_gates_are_drawn_one_by_one() -> None:
    model = nn.LSTM(8, 8)
    surgery.reinitialise(model, nn.init.orthogonal_)
    for gate in model.get_parameter("weight_hh_l0").detach().chunk(4):
        assert torch.allclose(gate @ gate.T, torch.eye(8), atol=1e-5)


def test_lsuv_gives_every_layer_outputs_of_unit_variance() -> None:
    model = _mlp(nn.Tanh)
    surgery.lsuv(model, _batch())
    stds = [c.std for c in surgery.calls(model, _batch()) if isinstance(c.module, nn.Linear)]
    assert stds == pytest.approx([1.0] * 4, abs=0.06)


def test_activations_are_replaced_where_they_differ() -> None:
    model = _mlp()
    surgery.replace_activations(model, nn.ReLU)
    assert [type(module) for module in model][1::2] == [nn.ReLU] * 3
    with pytest.raises(NotApplicableError, match="all activations are ReLU already"):
        surgery.replace_activations(model, nn.ReLU)


def test_activations_that_are_functions_cannot_be_replaced() -> None:
    with pytest.raises(NotApplicableError, match="functions cannot be replaced"):
        surgery.replace_activations(nn.Sequential(nn.Linear(2, 2)), nn.ReLU)


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_hidden_layers_are_normalised_and_keep_their_names(kind: str) -> None:
    model = _mlp()
    names = {name for name, _ in model.named_parameters()}
    surgery.normalise(model, _batch(), kind)
    inputs = _batch().inputs
    hidden = [inputs]
    handle = model[0].register_forward_hook(lambda _m, _i, output: hidden.append(output))
    model(inputs)
    handle.remove()
    axis = 0 if kind == "batch" else 1
    assert torch.allclose(hidden[-1].mean(axis), torch.zeros(1), atol=1e-5)
    assert torch.allclose(hidden[-1].std(axis, correction=0), torch.ones(1), atol=1e-2)
    assert names < {name for name, _ in model.named_parameters()}
    assert not list(model[-1].children())  # the last layer gives the answer


def test_what_is_normalised_already_is_not_normalised_again() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(NotApplicableError, match="lacks a normalisation"):
        surgery.normalise(model, _batch(), "batch")


def test_looking_at_calls_leaves_running_statistics_alone() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8))
    surgery.calls(model, _batch())
    assert not model.state_dict()["1.running_mean"].any()


def test_skips_add_the_input_of_layers_whose_shape_stays() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    plain = copy.deepcopy(model)
    surgery.add_skips(model, _batch())
    inputs = _batch().inputs
    expected: Tensor = plain[2](inputs + plain[1](plain[0](inputs)))
    assert torch.allclose(model(inputs), expected)


def test_no_skip_where_shapes_differ() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    with pytest.raises(NotApplicableError, match="outputs of the shape of its inputs"):
        surgery.add_skips(model, _batch())


def test_inputs_are_scaled_by_mean_and_standard_deviation_of_all() -> None:
    model = nn.Identity()
    inputs = 255 * torch.rand(100, 5, generator=torch.Generator().manual_seed(0))
    surgery.scale_inputs(model, inputs)
    outputs = model(inputs)
    assert float(outputs.mean()) == pytest.approx(0, abs=1e-5)
    assert float(outputs.std()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(NotApplicableError, match="already"):
        surgery.scale_inputs(model, outputs)
