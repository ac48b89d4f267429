"""A variant's network: the multilayer perceptron, or one that a function returns."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.study import BASELINE
from vanishing.errors import StudyError
from vanishing.networks import mlp
from vanishing.networks.build import build, build_empty
from vanishing.networks.weights import restore, state_of
from vanishing.params.study import Built, TrainedVariant, Variant

MODULE = """
import torch
from torch import nn

def build(width=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(20, width))

def tied():
    layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    layers[1].weight = layers[0].weight
    return layers.to(memory_format=torch.preserve_format)

def number():
    return 3

def fails(width):
    raise ValueError(f"no width of\\n{width}")
"""
PERCEPTRON = Variant(**BASELINE)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a study's folder with a module of its own, as the working directory."""
    (tmp_path / "own_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return tmp_path


def built(network: str, **arguments: Any) -> Built:
    """Return a variant whose network a function of the module returns."""
    return Built(network=network, arguments=arguments)


def seeded(seed: int = 0) -> torch.Generator:
    """Return a generator with this seed."""
    return torch.Generator().manual_seed(seed)


def test_a_variant_that_names_no_function_is_the_perceptron() -> None:
    network, perceptron = (f(PERCEPTRON, 20, 10, seeded()) for f in (build, mlp.build))
    assert network.state_dict().keys() == perceptron.state_dict().keys()
    for name, values in perceptron.state_dict().items():
        assert torch.equal(network.state_dict()[name], values)


@pytest.mark.usefixtures("study")
def test_a_function_beside_params_is_called_with_its_arguments_and_draws_from_the_seed() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        build(built("own_networks:build", width=7), 20, 10, seeded(seed)).get_parameter("1.weight")
        for seed in (0, 0, 1)
    )
    assert first.shape == (7, 20)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_of_an_installed_package_is_built() -> None:
    variant = built("torchvision.models:squeezenet1_1", num_classes=10)
    network = build(variant, 0, 10, seeded())
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (built("missing:build"), "No module named 'missing'"),
        (built("own_networks:buidl"), r"no function buidl \(did you mean build\?\)"),
        (built("own_networks:number"), "returned a int; it should return a torch.nn.Module"),
        (built("own_networks:fails", width=3), r"arguments {'width': 3}: no width of 3$"),
        (built("own_networks:build", depth=3), "unexpected keyword argument 'depth'"),
    ],
)
def test_a_function_that_is_missing_fails_or_builds_no_module_is_refused(
    variant: Built, message: str
) -> None:
    with pytest.raises(StudyError, match=rf"^params\.yaml: network: .*{message}"):
        build(variant, 20, 10, seeded())


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    "variant", [PERCEPTRON, built("own_networks:build"), built("own_networks:tied")]
)
def test_a_network_for_a_snapshot_takes_its_weights(variant: TrainedVariant) -> None:
    network = build(variant, 20, 10, seeded(3))
    empty = build_empty(variant, 20, 10)
    restore(empty, state_of(network))
    for (name, values), (_, expected) in zip(
        empty.state_dict().items(), network.state_dict().items(), strict=True
    ):
        assert torch.equal(values, expected), name


@pytest.mark.usefixtures("study")
def test_tied_weights_are_kept_once_and_stay_tied() -> None:
    state = state_of(build(built("own_networks:tied"), 4, 4, seeded()))
    assert list(state) == ["0.weight", "0.bias", "1.bias"]
    empty = build_empty(built("own_networks:tied"), 4, 4)
    restore(empty, state)
    assert empty.get_parameter("0.weight") is empty.get_parameter("1.weight")
    with pytest.raises(RuntimeError, match=r"the tensors differ: 1\.bias"):
        restore(empty, {"0.weight": state["0.weight"], "0.bias": state["0.bias"]})
