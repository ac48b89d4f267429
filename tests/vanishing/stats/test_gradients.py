"""Ratios of gradients against their twins."""

import math

import pytest

from tests import reference
from vanishing.stats.gradients import hops_and_attenuation

GRADIENTS = {"hidden.0": 2e-3, "hidden.1": 1e-2, "hidden.2": 4e-2, "output": 3.0}


def test_hops_and_attenuation_agree_with_their_twins() -> None:
    *hops, attenuation = hops_and_attenuation(GRADIENTS)
    values = list(GRADIENTS.values())
    assert [row["value"] for row in hops] == pytest.approx(reference.hops(values))
    assert attenuation["value"] == pytest.approx(reference.attenuation(values))
    assert attenuation["value"] == pytest.approx(math.prod(reference.hops(values)))


def test_rows_name_the_lower_layer_of_each_hop_and_the_first_layer() -> None:
    rows = hops_and_attenuation(GRADIENTS)
    assert [(row["statistic"], row["layer_index"], row["layer"]) for row in rows] == [
        ("hop", 0, "hidden.0"),
        ("hop", 1, "hidden.1"),
        ("attenuation", 0, "hidden.0"),
    ]
    assert {row["tensor"] for row in rows} == {"backpropagated_gradient"}


def test_ratios_to_a_gradient_of_zero_are_nan_or_infinite() -> None:
    first, second, attenuation = hops_and_attenuation({"a": 0.0, "b": 0.0, "c": 1.0, "output": 1.0})
    assert math.isnan(first["value"])
    assert (second["value"], attenuation["value"]) == (0.0, 0.0)
    grown, _ = hops_and_attenuation({"a": 1.0, "b": 0.0, "output": 1.0})
    assert grown["value"] == math.inf


def test_one_hidden_layer_has_no_hop_and_attenuation_one() -> None:
    (row,) = hops_and_attenuation({"hidden.0": 0.3, "output": 2.0})
    assert (row["statistic"], row["value"]) == ("attenuation", 1.0)


def test_a_network_without_hidden_layers_has_no_rows() -> None:
    assert hops_and_attenuation({"output": 2.0}) == []
