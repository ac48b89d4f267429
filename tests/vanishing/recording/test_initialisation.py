"""Fresh initialisations: the networks that training starts from, at any depth."""

import pytest
import torch

from tests.support.study import BASELINE
from vanishing.datasets.examples import Examples
from vanishing.networks.mlp import build
from vanishing.params.extract import Extract
from vanishing.params.study import Variant
from vanishing.recording.initialisation import probe_initialisations, probe_seeds
from vanishing.recording.probe import record
from vanishing.seeds import generator
from vanishing.stats.exact import rms
from vanishing.stats.units import saturation

VARIANT = Variant(**BASELINE)  # of depth 3
SETTINGS = Extract(
    probe_size=20,
    batch_size=15,
    init_probe_size=18,
    init_seeds=3,
    sweep_depths=(1, 3, 4),
    sweep_seeds=2,
)


@pytest.fixture
def examples(rng: torch.Generator) -> Examples:
    """Give 20 random examples."""
    images = torch.randn(20, 30, generator=rng)
    return Examples(images, torch.randint(0, 10, (20,), generator=rng))


def test_every_seed_and_layer_has_its_rows(examples: Examples) -> None:
    rows = probe_seeds(VARIANT.at_depth(4), examples, 10, 20, seeds=[0, 7])
    hops = [(row["seed"], row["layer_index"]) for row in rows if row["statistic"] == "hop"]
    assert hops == [(0, 0), (0, 1), (0, 2), (7, 0), (7, 1), (7, 2)]
    assert {row["depth"] for row in rows} == {4}
    saturated = [
        row["layer"] for row in rows if row["statistic"] == "saturation" and row["seed"] == 0
    ]
    assert saturated == [f"hidden.{i}.linear" for i in range(4)]


def test_values_are_those_of_the_network_that_training_starts_from(examples: Examples) -> None:
    network = build(VARIANT, 30, 10, generator(7, "initialisation"))
    layers = record(network, examples, 6).layers
    rows = probe_seeds(VARIANT, examples, 10, 6, seeds=[7])
    values = {(row["layer"], row["tensor"], row["statistic"]): row["value"] for row in rows}
    for name, layer in layers.items():
        for tensor, recorded in layer.tensors.items():
            assert values[name, tensor, "rms"] == pytest.approx(rms(recorded).item(), rel=1e-5)
        if layer.activation is not None:
            expected = saturation(layer.tensors["preactivation"], layer.activation)
            assert values[name, "preactivation", "saturation"] == expected


def test_a_single_hidden_layer_has_no_hop_and_attenuation_one(examples: Examples) -> None:
    rows = probe_seeds(VARIANT.at_depth(1), examples, 10, 20, seeds=[0])
    ratios = [
        (row["statistic"], row["value"])
        for row in rows
        if row["statistic"] in {"hop", "attenuation"}
    ]
    assert ratios == [("attenuation", 1.0)]


def test_own_depth_has_all_seeds_and_each_depth_of_the_sweep_the_first(
    examples: Examples,
) -> None:
    rows = probe_initialisations(VARIANT, examples, 10, SETTINGS)
    assert {(row["depth"], row["seed"]) for row in rows.initialisation} == {
        (3, seed) for seed in range(3)
    }
    assert {(row["depth"], row["seed"]) for row in rows.depths} == {
        (depth, seed) for depth in (1, 3, 4) for seed in range(2)
    }


def test_rows_of_the_own_depth_are_the_same_in_the_sweep(examples: Examples) -> None:
    rows = probe_initialisations(VARIANT, examples, 10, SETTINGS)
    swept = [row for row in rows.depths if row["depth"] == 3]
    assert swept == [row for row in rows.initialisation if row["seed"] < 2]


def test_the_probe_is_the_first_images(examples: Examples) -> None:
    rows = probe_initialisations(VARIANT, examples, 10, SETTINGS)
    expected = probe_seeds(VARIANT, examples.first(18), 10, 15, range(3))
    assert rows.initialisation == expected
