"""The weight layers of a network."""

import torch
from torch import nn

from tests.support.study import BASELINE
from vanishing.networks.mlp import build
from vanishing.params.study import Variant
from vanishing.recording.layers import weight_layers


def test_layers_of_the_perceptron_are_named_and_ordered_from_the_input() -> None:
    network = build(Variant(**BASELINE), 20, 10, torch.Generator().manual_seed(0))
    assert list(weight_layers(network)) == [
        "hidden.0.linear",
        "hidden.1.linear",
        "hidden.2.linear",
        "output",
    ]


def test_convolutions_are_weight_layers_and_normalization_is_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv1d(2, 2, 1))
    assert list(weight_layers(network)) == ["0", "3"]
    assert weight_layers(network)["0"] is network[0]
