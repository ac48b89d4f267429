"""Predictions beside measurements: the averages, and variants without theory."""

import math

import pandas as pd
import pytest

from tests.support.study import BASELINE
from vanishing.params.study import Built, Variant
from vanishing.results.schemas import INITIALISATIONS
from vanishing.theory.comparison import compare
from vanishing.theory.network.walk import NetworkLayerTheory


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


BUILT = Built(network="nets:build")


def test_a_network_of_a_function_has_the_theory_that_is_given() -> None:
    layers = [NetworkLayerTheory("0", 0.24, 0.21), NetworkLayerTheory("2", 0.1, math.nan)]
    rows = compare(BUILT, 784, measured(*ROWS), layers)
    compared = {(row["quantity"], row["layer_index"]): row for row in rows}
    assert set(compared) == {("q", 0), ("q", 1), ("hop", 0), ("attenuation", 0)}
    predicted = {key: row["predicted"] for key, row in compared.items()}
    assert predicted == {("q", 0): 0.24, ("q", 1): 0.1, ("hop", 0): 0.21, ("attenuation", 0): 0.21}
    assert compared["hop", 0]["measured"] == pytest.approx(0.2)


def test_without_theory_it_has_measurements_alone() -> None:
    rows = compare(BUILT, 784, measured(*ROWS))
    assert len(rows) == 4
    assert all(row["predicted"] is None for row in rows)


def test_hops_in_time_are_ratios_of_neighbouring_steps() -> None:
    gradients = {0: (1.0, 2.0, 8.0), 1: (4.0, 2.0, 8.0)}  # by seed
    rows = [
        (1, seed, 0, tensor, "rms", value)
        for seed, values in gradients.items()
        for value in values
        for tensor in ("hidden_gradient_l0", "cell_gradient_l0")
    ]
    places = ["rnn", "rnn", "rnn#2", "rnn#2", "rnn#3", "rnn#3"] * 2
    frame = measured(*rows).assign(layer=places)
    theory = NetworkLayerTheory("rnn", 0.1, math.nan, {"hidden_gradient_l0": (0.9, 0.3)})
    compared = {row["quantity"]: row for row in compare(BUILT, 28, frame, [theory])}
    assert set(compared) == {
        f"{kind}_gradient_l0_hop#{step}" for kind in ("hidden", "cell") for step in (1, 2)
    }
    first, second = (compared[f"hidden_gradient_l0_hop#{step}"] for step in (1, 2))
    assert first["measured"] == pytest.approx(1.0)  # of 1/2 and 2
    assert second["measured"] == pytest.approx(0.25)
    assert (first["predicted"], second["predicted"], first["n"]) == (0.9, 0.3, 2)
    assert compared["cell_gradient_l0_hop#1"]["predicted"] is None
