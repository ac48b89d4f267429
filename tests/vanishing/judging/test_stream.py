"""The gradient along the stream and through time, of a trace or of a run."""

import math

import pandas as pd
import pytest

import vanishing
from vanishing.errors import StudyError
from vanishing.judging.runs import Run

TENSORS = ("hidden_gradient_l0", "hidden_gradient_l0_reverse")


def trace() -> pd.DataFrame:
    """Make a trace of two steps: blocks defined in another order than called, and an LSTM."""
    rows = []
    for step, scale in ((1, 1.0), (50, 10.0)):
        blocks = {"blocks.1": (1, 2.0, 5.0), "blocks.0": (2, 6.0, 9.0), "blocks.1#2": (1, 4.0, 7.0)}
        for name, (index, rms, position) in blocks.items():
            rows.append((step, index, name, "stream_gradient", "rms", rms * scale))
            rows.append((step, index, name, "stream_gradient", "position", position))
        for time in (1, 2, 10):
            layer = "lstm" if time == 1 else f"lstm#{time}"
            rows += [(step, 0, layer, tensor, "rms", time * scale) for tensor in TENSORS]
        rows.append((step, 0, "lstm", "weight_ih_l0_gradient", "rms", 1.0))
    columns = ["step", "layer_index", "layer", "tensor", "statistic", "value"]
    return pd.DataFrame(rows, columns=columns).assign(variant="mine", seed=0)


@pytest.mark.parametrize("table", [trace(), Run("mine", {"trace": trace()})], ids=["trace", "run"])
def test_blocks_come_in_the_order_of_the_forward_pass(table: pd.DataFrame | Run) -> None:
    first = vanishing.gradient_along_stream(table)
    assert first["block"].tolist() == ["blocks.1", "blocks.1#2", "blocks.0"]
    assert first["rms"].tolist() == [2.0, 4.0, 6.0]
    last = vanishing.gradient_along_stream(table, at_end=True)
    assert last["rms"].tolist() == [20.0, 40.0, 60.0]


def test_the_attenuation_is_that_from_end_to_end_or_between_two_blocks() -> None:
    along = vanishing.gradient_along_stream(trace())
    assert vanishing.attenuation_along_stream(along) == pytest.approx(1 / 3)
    assert vanishing.attenuation_along_stream(along, "blocks.1#2") == pytest.approx(2 / 3)
    assert vanishing.attenuation_along_stream(along, last="blocks.1#2") == 0.5
    assert math.isnan(vanishing.attenuation_along_stream(along, "none"))
    zeros = along.assign(rms=[1.0, 0.0, 0.0])
    assert vanishing.attenuation_along_stream(zeros) == math.inf
    assert math.isnan(vanishing.attenuation_along_stream(zeros, "blocks.1#2"))
    assert math.isnan(vanishing.attenuation_along_stream(along[:0]))


@pytest.mark.parametrize("table", [trace(), Run("mine", {"trace": trace()})], ids=["trace", "run"])
def test_time_steps_are_numbers_and_other_tensors_are_left_out(table: pd.DataFrame | Run) -> None:
    states = vanishing.gradient_through_time(table, at_end=True)
    assert set(states["layer"]) == {"lstm"}
    assert set(states["tensor"]) == set(TENSORS)
    hidden = states[states["tensor"] == "hidden_gradient_l0"]
    assert hidden["time"].tolist() == [1, 2, 10]
    assert hidden["rms"].tolist() == [10.0, 20.0, 100.0]


def test_the_reverse_direction_is_attenuated_from_the_end_of_the_sequence() -> None:
    states = vanishing.attenuation_through_time(vanishing.gradient_through_time(trace()))
    assert states.to_dict("list") == {
        "layer": ["lstm", "lstm"],
        "tensor": ["hidden_gradient_l0", "hidden_gradient_l0_reverse"],
        "first": [1, 10],
        "last": [10, 1],
        "attenuation": [pytest.approx(0.1), pytest.approx(10.0)],
    }


def test_a_trace_of_several_runs_is_refused_and_one_without_rows_has_none() -> None:
    several = pd.concat([trace(), trace().assign(seed=1)])
    for function in (vanishing.gradient_along_stream, vanishing.gradient_through_time):
        with pytest.raises(StudyError, match="rows of 2 runs"):
            function(several)
        assert function(trace()[:0]).empty
    assert vanishing.attenuation_through_time(vanishing.gradient_through_time(trace()[:0])).empty
