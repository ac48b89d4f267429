"""Statistics taken on a GPU against those of the CPU."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import CASES
from vanishing.stats.fast import accumulate, pack, summarize_packed


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_counts_are_those_of_the_cpu_and_sums_agree(values: Tensor) -> None:
    on_cpu = summarize_packed(pack([accumulate(values)]).numpy())
    on_gpu = summarize_packed(pack([accumulate(values.cuda())]).cpu().numpy())
    np.testing.assert_array_equal(on_gpu.counts, on_cpu.counts)
    mean, rms = on_cpu.statistics["mean"][0], on_cpu.statistics["rms"][0]
    for name, expected in on_cpu.statistics.items():
        if name == "std" and abs(mean) > 0.99 * rms:
            continue  # inexact by its docstring: the difference of two large numbers
        bound = 1e-6 * on_cpu.statistics["mean_abs"][0] if name == "mean" else 0
        np.testing.assert_allclose(
            on_gpu.statistics[name], expected, rtol=1e-5, atol=bound, err_msg=name
        )


def test_millions_of_equal_values_are_counted_exactly() -> None:
    values = torch.full((20_000_001,), 0.75, device="cuda")
    summary = summarize_packed(pack([accumulate(values)]).cpu().numpy())
    assert summary.counts.sum() == summary.counts.max() == 20_000_001
