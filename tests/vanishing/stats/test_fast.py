"""The fast summary against its twins, and at the edges of float32."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from tests.reference import CASES
from vanishing.stats.fast import (
    MAGNITUDE_QUANTILES,
    Summary,
    accumulate,
    pack,
    summarize_packed,
)
from vanishing.stats.histograms import count_exponents


def summarize(*tensors: Tensor) -> Summary:
    """Summarize tensors together."""
    return summarize_packed(pack([accumulate(tensor) for tensor in tensors]).numpy())


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_statistics_agree_with_their_twins(values: Tensor) -> None:
    statistics = summarize(values).statistics
    expected = reference.summary(values.flatten().tolist())
    for name in ("mean_abs", "max_abs", "rms", "l2_norm", "fraction_zero", "fraction_nonfinite"):
        assert statistics[name][0] == pytest.approx(expected[name], rel=1e-5, abs=1e-60), name
    assert statistics["mean"][0] == pytest.approx(expected["mean"], abs=1e-6 * expected["mean_abs"])
    if abs(expected["mean"]) < 1000 * expected["std"]:
        assert statistics["std"][0] == pytest.approx(expected["std"], rel=1e-5, abs=1e-60)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_quantiles_are_order_statistics_to_within_a_cell(values: Tensor) -> None:
    statistics = summarize(values).statistics
    for name, p in MAGNITUDE_QUANTILES.items():
        expected = reference.magnitude_quantile(values.flatten().tolist(), p)
        if expected < 2.0**-126:  # where cells are of equal width
            assert statistics[name][0] == pytest.approx(expected, abs=2.0**-131), name
        else:
            assert statistics[name][0] == pytest.approx(expected, rel=2.0**-6), name


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_counts_are_those_of_the_histogram(values: Tensor) -> None:
    np.testing.assert_array_equal(summarize(values).counts[0], count_exponents(values))


def test_several_tensors_are_summarized_as_each_alone() -> None:
    together = summarize(CASES["normal"], CASES["one-sample"], CASES["mixed-with-zeros"])
    alone = summarize(CASES["mixed-with-zeros"])
    for name, values in together.statistics.items():
        assert values[2] == alone.statistics[name][0]
    np.testing.assert_array_equal(together.counts[2], alone.counts[0])


def test_nan_and_infinity_follow_ieee() -> None:
    tensors = [1.0, math.nan, 0.0, 0.0], [1.0, math.inf, -math.inf, 2.0]
    summary = summarize(*map(torch.tensor, tensors))
    with_nan, with_inf = (
        {name: values[row] for name, values in summary.statistics.items()} for row in (0, 1)
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
    assert summarize(values).statistics["l2_norm"][0] == pytest.approx(math.sqrt(4.25))


def test_a_tensor_is_left_as_it_was() -> None:
    values = CASES["matrix"].clone()
    summarize(values, values.t())
    assert torch.equal(values, CASES["matrix"])
