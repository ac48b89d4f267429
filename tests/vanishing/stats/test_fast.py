"""Statistics from bits against their slow twins, and at the edges of float32."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES
from vanishing.stats.fast import (
    EDGES,
    MAGNITUDE_QUANTILES,
    Bin,
    Description,
    collect,
    describe,
    histogram_log2,
    measure,
)

DENORMAL = 2.0**-149  # the smallest float32 above zero


def described(*tensors: Tensor) -> Description:
    """Measure tensors and describe them together."""
    return describe(collect([measure(each) for each in tensors]).numpy())


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_statistics_agree_with_their_twins(values: Tensor) -> None:
    found = described(values).statistics
    expected = reference.summary(values.flatten().tolist(), tiny=0.0)
    for name in ("mean_abs", "max_abs", "rms", "l2_norm", "fraction_zero", "fraction_nonfinite"):
        assert found[name][0] == pytest.approx(expected[name], rel=1e-5, abs=1e-60), name
    assert found["mean"][0] == pytest.approx(expected["mean"], abs=1e-6 * expected["mean_abs"])
    if abs(expected["mean"]) < 1000 * expected["std"]:
        assert found["std"][0] == pytest.approx(expected["std"], rel=1e-5, abs=1e-60)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_quantiles_are_order_statistics_to_within_their_cell(values: Tensor) -> None:
    ordered = values.abs().flatten().sort().values
    for name, p in MAGNITUDE_QUANTILES.items():
        exact = ordered[max(1, math.ceil(p * len(ordered))) - 1].item()
        found = described(values).statistics[name][0]
        if exact < 2.0**-126:  # where cells are of equal width
            assert found == pytest.approx(exact, abs=2.0**-131), name
        else:
            assert found == pytest.approx(exact, rel=2.0**-6), name


def test_several_tensors_are_described_as_each_alone() -> None:
    together = described(CASES["normal"], CASES["one-sample"], CASES["mixed-with-zeros"])
    alone = described(CASES["mixed-with-zeros"])
    for name, values in together.statistics.items():
        assert values[2] == alone.statistics[name][0]
    np.testing.assert_array_equal(together.counts[2], alone.counts[0])


def test_nan_and_infinity_follow_ieee() -> None:
    with_nan, with_inf = (
        {name: values[0] for name, values in described(torch.tensor(x)).statistics.items()}
        for x in ([1.0, math.nan, 0.0, 0.0], [1.0, math.inf, -math.inf, 2.0])
    )
    for name in ("mean", "std", "rms", "max_abs", "l2_norm", "abs_q99"):
        assert math.isnan(with_nan[name]), name
    assert (with_nan["fraction_nonfinite"], with_nan["fraction_zero"]) == (0.25, 0.5)
    assert with_nan["abs_q50"] == 0
    assert math.isnan(with_inf["mean"])
    assert with_inf["max_abs"] == with_inf["rms"] == with_inf["abs_q99"] == math.inf
    assert with_inf["fraction_nonfinite"] == 0.5


def test_half_precision_is_widened() -> None:
    values = torch.tensor([0.5, -2.0, 0.0], dtype=torch.bfloat16)
    assert described(values).statistics["l2_norm"][0] == pytest.approx(math.sqrt(4.25))
    assert histogram_log2(values) == [Bin(0, 0, 1), Bin(0.5, 1, 1), Bin(2, 4, 1)]


def test_a_tensor_is_left_as_it_was() -> None:
    values = CASES["matrix"].clone()
    described(values, values.t())
    assert torch.equal(values, CASES["matrix"])


def test_edges_join_without_a_gap() -> None:
    powers = EDGES[1:-2]
    np.testing.assert_array_equal(powers[1:, 0], powers[:-1, 1])
    assert powers[-1, 1] == 2.0**128


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_log2_histogram_agrees_with_its_twin(values: Tensor) -> None:
    counted = {(b.left, b.right): b.count for b in histogram_log2(values)}
    assert counted == reference.log2_counts(values.flatten().tolist())


def test_log2_histogram_counts_every_edge_where_it_belongs() -> None:
    below_two = 2.0 - 2.0**-23  # the float32 before 2
    values = [0.0, -0.0, DENORMAL, 2.0**-126, -1.0, below_two, 2.0, math.inf, -math.inf]
    assert histogram_log2(torch.tensor(values)) == [
        Bin(0, 0, 2),
        Bin(DENORMAL, 2.0**-126, 1),
        Bin(2.0**-126, 2.0**-125, 1),
        Bin(1, 2, 2),
        Bin(2, 4, 1),
        Bin(math.inf, math.inf, 2),
    ]
    (only,) = histogram_log2(torch.tensor([math.nan, -math.nan]))
    assert math.isnan(only.left)
    assert only.count == 2
