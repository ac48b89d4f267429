"""Predictions beside measurements: the averages, and variants without theory."""

import math

import pandas as pd
import pytest

from tests.support.study import BASELINE
from vanishing.params.study import Variant
from vanishing.results.schemas import INITIALISATIONS
from vanishing.theory.comparison import compare


def measured(*rows: tuple[int, int, int, str, str, float]) -> pd.DataFrame:
    """Return rows of initialisation.parquet: depth, seed, layer, tensor, statistic, value."""
    columns = ["depth", "seed", "layer_index", "tensor", "statistic", "value"]
    frame = pd.DataFrame(rows, columns=columns).assign(variant="v", layer="l")
    return pd.DataFrame(frame, columns=INITIALISATIONS.names)


ROWS = [
    (2, seed, *row)
    for seed, factor in ((0, 1.0), (1, 4.0))
    for row in (
        (0, "preactivation", "rms", 0.5),
        (1, "preactivation", "rms", 0.3),
        (2, "preactivation", "rms", 9.0),
        (0, "backpropagated_gradient", "hop", 0.1 * factor),
        (0, "backpropagated_gradient", "attenuation", 0.1 * factor),
    )
]


def test_quantities_are_geometric_means_over_seeds_beside_the_prediction() -> None:
    rows = compare(Variant(**BASELINE), 784, measured(*ROWS))
    compared = {(row["quantity"], row["layer_index"]): row for row in rows}
    assert set(compared) == {("q", 0), ("q", 1), ("hop", 0), ("attenuation", 0)}  # output has no q
    assert compared["hop", 0]["measured"] == pytest.approx(0.2)
    assert compared["hop", 0]["n"] == 2
    assert compared["q", 0]["measured"] == pytest.approx(0.25)
    assert compared["q", 0]["predicted"] == pytest.approx(0.25)  # given to the theory
    assert compared["attenuation", 0]["predicted"] == compared["hop", 0]["predicted"]
    assert compared["hop", 0]["predicted"] == pytest.approx(0.137, abs=0.002)


def test_a_variant_without_theory_has_measurements_and_no_prediction() -> None:
    rows = compare(Variant(**BASELINE | {"normalization": "batch"}), 784, measured(*ROWS))
    assert rows
    assert all(row["predicted"] is None for row in rows)
    assert all(row["measured"] > 0 for row in rows)


def test_a_network_that_is_not_finite_at_initialisation_has_no_prediction() -> None:
    broken = [(*row[:5], math.nan) for row in ROWS]
    rows = compare(Variant(**BASELINE), 784, measured(*broken))
    assert all(row["predicted"] is None and math.isnan(row["measured"]) for row in rows)
