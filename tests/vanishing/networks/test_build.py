"""A variant's network: the multilayer perceptron, or one of the study's own code."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.study import BASELINE
from vanishing.errors import StudyError
from vanishing.networks import mlp
from vanishing.networks.build import build, build_empty
from vanishing.params.study import Variant

MODULE = """
import torch

def build(variant, inputs, classes, generator):
    network = torch.nn.Linear(inputs, classes)
    torch.nn.init.normal_(network.weight, generator=generator)
    return network

def number(variant, inputs, classes, generator):
    return 3
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a study's folder with a module of its own, as the working directory."""
    (tmp_path / "own_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return tmp_path


def variant(network: str | None = None) -> Variant:
    """Return the tiny baseline, built by the function that `network` names."""
    return Variant(**BASELINE, network=network)


def seeded(seed: int = 0) -> torch.Generator:
    """Return a generator with this seed."""
    return torch.Generator().manual_seed(seed)


def test_a_variant_that_names_no_function_is_the_perceptron() -> None:
    network, perceptron = (f(variant(), 20, 10, seeded()) for f in (build, mlp.build))
    assert network.state_dict().keys() == perceptron.state_dict().keys()
    for name, values in perceptron.state_dict().items():
        assert torch.equal(network.state_dict()[name], values)


@pytest.mark.usefixtures("study")
def test_a_function_beside_params_builds_the_network_from_the_generator() -> None:
    first, again, other = (
        build(variant("own_networks:build"), 20, 10, seeded(seed)).get_parameter("weight")
        for seed in (0, 0, 1)
    )
    assert first.shape == (10, 20)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("missing:build", "No module named 'missing'"),
        ("own_networks:missing", "has no attribute 'missing'"),
        ("own_networks:number", "returned a int; it should return a torch.nn.Module"),
    ],
)
def test_a_function_that_is_missing_or_builds_no_module_is_refused(
    network: str, message: str
) -> None:
    with pytest.raises(StudyError, match=rf"network: {network}.*{message}"):
        build(variant(network), 20, 10, seeded())


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("network", [None, "own_networks:build"])
def test_a_network_for_a_snapshot_takes_its_weights(network: str | None) -> None:
    weights = build(variant(network), 20, 10, seeded()).state_dict()
    empty = build_empty(variant(network), 20, 10)
    assert isinstance(empty, nn.Module)
    empty.load_state_dict(weights, assign=True)
    for name, values in weights.items():
        assert torch.equal(empty.state_dict()[name], values)
