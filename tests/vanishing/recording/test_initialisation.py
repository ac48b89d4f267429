"""Fresh initialisations: the same as training starts from, at any depth."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.support.study import BASELINE
from vanishing.datasets.examples import Examples
from vanishing.params.study import Variant
from vanishing.recording.initialisation import measure


@pytest.fixture
def probe(rng: torch.Generator) -> Examples:
    """Give 20 random examples."""
    images = torch.randn(20, 30, generator=rng)
    return Examples(images, torch.randint(0, 10, (20,), generator=rng))


def test_every_seed_and_layer_has_its_rows(probe: Examples) -> None:
    rows = measure(Variant(**BASELINE), probe, 20, depth=4, seeds=[0, 7])
    hops = [(r["seed"], r["layer_index"]) for r in rows if r["statistic"] == "hop"]
    assert hops == [(0, 0), (0, 1), (0, 2), (7, 0), (7, 1), (7, 2)]
    assert {r["depth"] for r in rows} == {4}
    saturated = [r["layer"] for r in rows if r["statistic"] == "saturation" and r["seed"] == 0]
    assert saturated == [f"hidden.{i}.linear" for i in range(4)]


def test_a_single_hidden_layer_has_no_hop_and_attenuation_one(probe: Examples) -> None:
    rows = measure(Variant(**BASELINE), probe, 20, depth=1, seeds=[0])
    passed = [
        (r["statistic"], r["value"]) for r in rows if r["statistic"] in {"hop", "attenuation"}
    ]
    assert passed == [("attenuation", 1.0)]


def test_seed_zero_is_the_network_that_training_started_from(study: Path) -> None:
    weights = "tensor == 'weight' and statistic == 'rms'"
    folder = study / "data/statistics/relu"
    fresh = pd.read_parquet(folder / "initialisation.parquet").query(f"{weights} and seed == 0")
    start = pd.read_parquet(folder / "layers.parquet").query(f"{weights} and epoch == 0")
    assert len(fresh) == 4
    assert fresh["value"].tolist() == pytest.approx(start["value"].tolist(), rel=1e-12)
