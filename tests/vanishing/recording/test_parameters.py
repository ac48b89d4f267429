"""Names of the parameters of any network."""

import pytest
import torch
from torch import nn

from vanishing.errors import StudyError
from vanishing.recording.parameters import by_name, name_parameters


def test_parameters_are_named_as_pytorch_names_them_and_layers_are_counted() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.LSTM(3, 4)))
    named = name_parameters({"": network})
    assert [entry.name for entry in named] == [name for name, _ in network.named_parameters()]
    assert [(entry.layer_index, entry.layer) for entry in named] == [(0, "0")] * 2 + [
        (1, "2.0")
    ] * 4
    tensors = {entry.leaf: entry.tensors for entry in named}
    assert tensors["weight"] == ("weight_gradient", "weight", "update")
    assert tensors["bias"] == ("bias_gradient", "bias", "bias_update")
    assert tensors["weight_hh_l0"][2] == "weight_hh_l0_update"


def test_names_of_several_networks_are_those_of_a_container() -> None:
    networks = {"generator": nn.Linear(2, 3), "discriminator": nn.Sequential(nn.Linear(3, 1))}
    expected = [name for name, _ in nn.ModuleDict(networks).named_parameters()]
    assert [entry.name for entry in name_parameters(by_name(networks, nn.Module))] == expected
    listed = name_parameters(by_name(list(networks.values()), nn.Module))
    assert [entry.layer for entry in listed] == ["0", "0", "1.0", "1.0"]


def test_a_tensor_of_several_modules_or_networks_is_named_once() -> None:
    shared = nn.Linear(2, 2, bias=False)
    first, second = nn.Sequential(shared, shared), nn.Sequential(nn.ReLU(), shared)
    (entry,) = name_parameters({"a": first, "b": second})
    assert (entry.name, entry.other_names) == ("a.0.weight", ("a.1.weight", "b.1.weight"))


def test_a_network_itself_may_hold_parameters() -> None:
    network = nn.ParameterList([torch.ones(2), torch.empty(0)])
    (entry,) = name_parameters({"": network})
    assert (entry.layer, entry.name) == ("", "0")


def test_empty_parameters_alone_are_none() -> None:
    with pytest.raises(StudyError, match="no parameters"):
        name_parameters({"": nn.ParameterList([torch.empty(0)])})
