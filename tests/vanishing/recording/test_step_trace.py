"""One step, parameter by parameter: tensors in parts, of every layout and type."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import CASES, normal
from vanishing.recording.step_trace import Measurement, StepTrace, accumulate_any
from vanishing.stats import fast
from vanishing.stats.fast import Summary, accumulate, pack, summarize_packed


def summary_of(gradient: Tensor, scale: Tensor | None = None) -> Summary:
    """Summarize a gradient as the watch does."""
    return summarize_packed(pack([accumulate_any(gradient, scale)]).numpy())


def check_equal(actual: Summary, expected: Summary) -> None:
    """Check that two summaries agree: counts exactly, sums to rounding."""
    np.testing.assert_array_equal(actual.counts, expected.counts)
    mean, rms = expected.statistics["mean"][0], expected.statistics["rms"][0]
    for name, values in expected.statistics.items():
        if name == "std" and abs(mean) > 0.99 * rms:
            continue  # inexact by its docstring: the difference of two large numbers
        bound = 1e-6 * expected.statistics["mean_abs"][0] if name == "mean" else 0
        np.testing.assert_allclose(
            actual.statistics[name], values, rtol=1e-5, atol=bound, err_msg=name
        )


PARTS_UNLIKE = CASES | {"zeros-then-tiny": torch.cat([torch.zeros(100), normal(1e-30)])}


@pytest.mark.parametrize("values", PARTS_UNLIKE.values(), ids=PARTS_UNLIKE.keys())
@pytest.mark.parametrize("size", [7, 100])
def test_a_tensor_in_parts_is_summarized_as_the_whole(
    values: Tensor, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = summarize_packed(pack([accumulate(values)]).numpy())
    monkeypatch.setattr(fast, "_PART_OF_CPU", size)
    check_equal(summary_of(values), expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_in_one_part_counts_for_the_whole(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.tensor([1.0, 0.0, 1e30, value, 2.0, 1e-30])
    expected = summarize_packed(pack([accumulate(values)]).numpy())
    monkeypatch.setattr(fast, "_PART_OF_CPU", 2)
    check_equal(summary_of(values), expected)


@pytest.mark.parametrize("rows", [[2, 0, 2], []])
def test_a_sparse_gradient_counts_as_the_dense_one(rows: list[int]) -> None:
    values = torch.tensor([[1.0, -2.0], [0.0, 3.0], [4.0, 5.0]])[: len(rows)]
    indices = torch.tensor([rows], dtype=torch.int64)
    sparse = torch.sparse_coo_tensor(indices, values, (5, 2), check_invariants=True)
    check_equal(summary_of(sparse), summary_of(sparse.to_dense()))


def test_a_complex_gradient_counts_as_its_parts_and_a_conjugate_as_well() -> None:
    real, imaginary = torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 3.0])
    expected = summary_of(torch.stack([real, imaginary], 1))
    check_equal(summary_of(torch.complex(real, imaginary)), expected)
    check_equal(summary_of(torch.complex(real, -imaginary).conj()), expected)


def test_a_scale_is_divided_out_after_widening() -> None:
    scale = torch.tensor(2.0**16)
    gradient = torch.tensor([2.0**-9, 1.0], dtype=torch.float16)
    check_equal(summary_of(gradient, scale), summary_of(gradient.float() / 2.0**16))


def measure(parameter: Tensor, update: float) -> Measurement:
    """Record a step that subtracts `update` from every element, as one within backward would."""
    trace = StepTrace([parameter])
    trace.before(parameter, torch.ones_like(parameter))
    parameter.detach().sub_(update)
    trace.after(parameter)
    trace.close()
    measurement = trace.read()
    assert measurement is not None
    return measurement


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_norms_of_values_and_update_do_not_overflow_in_narrow_types(dtype: torch.dtype) -> None:
    parameter = torch.full((40, 40), 256.0, dtype=dtype)
    norms = measure(parameter, 2.0).norms
    np.testing.assert_allclose(norms, [[256.0 * 40, 2.0 * 40]], rtol=1e-6)


@pytest.mark.parametrize("update", [1e-30, 1e30])
def test_norms_whose_squares_leave_float32_are_as_exact(update: float) -> None:
    parameter = torch.zeros(10)
    np.testing.assert_allclose(measure(parameter, update).norms, [[0, update * 10**0.5]], rtol=1e-6)
    np.testing.assert_allclose(measure(parameter, update).norms[0, 0], update * 10**0.5, rtol=1e-6)


def test_a_step_without_gradients_has_no_measurement() -> None:
    parameter = torch.ones(2)
    trace = StepTrace({parameter})
    trace.before(parameter, None)
    trace.close()
    assert trace.read() is None
