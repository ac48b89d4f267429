"""Calls of modules as columns of tables, without `variant` and `seed`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vanishing.recording.answers import OUTPUT
from vanishing.recording.module_calls import POSITION, RUNNING, CallMeasurement
from vanishing.recording.step_tables import Columns
from vanishing.stats.fast import STATISTICS


def trace(step: int, calls: CallMeasurement) -> Columns:
    """Return the columns of the trace at a step: statistics and position of every tensor."""
    statistics = [*STATISTICS, POSITION]
    numbers = [*(calls.statistics.statistics[name] for name in STATISTICS), calls.positions]
    values = np.stack(numbers, axis=1)
    count = len(statistics)
    return {
        "step": np.full(values.size, step),
        "layer_index": np.repeat([index for index, _, _ in calls.keys], count),
        "layer": [layer for _, layer, _ in calls.keys for _ in statistics],
        "tensor": [tensor for _, _, tensor in calls.keys for _ in statistics],
        "statistic": statistics * len(calls.keys),
        "value": values.flatten(),
    }


def through_time(step: int, calls: CallMeasurement) -> list[Columns]:
    """Return the columns of the trace of recurrent modules, in pieces of one tensor.

    A time step is told apart as a call of a module is: the second one of `rnn` is `rnn#2`.
    """
    return [
        {
            "step": np.full(len(rms), step),
            "layer_index": np.full(len(rms), index),
            "layer": [layer, *(f"{layer}#{time}" for time in range(2, len(rms) + 1))],
            "tensor": [tensor] * len(rms),
            "statistic": ["rms"] * len(rms),
            "value": rms,
        }
        for (index, layer, tensor), rms in calls.through_time.items()
    ]


def answers(step: int, calls: CallMeasurement) -> Columns:
    """Return the columns of the trace at a step: statistics of the outputs of whole networks."""
    return _numbers(step, OUTPUT, calls.answers)


def normalizations(step: int, calls: CallMeasurement) -> Columns:
    """Return the columns of the trace at a step: how normalizations over examples work."""
    return _numbers(step, RUNNING, calls.normalizations)


def _numbers(step: int, tensor: str, numbers: Mapping[tuple[int, str, str], Any]) -> Columns:
    """Return the columns of {(layer_index, layer, statistic): number}, all of one tensor."""
    return {
        "step": np.full(len(numbers), step),
        "layer_index": [index for index, _, _ in numbers],
        "layer": [layer for _, layer, _ in numbers],
        "tensor": [tensor] * len(numbers),
        "statistic": [statistic for _, _, statistic in numbers],
        "value": [*numbers.values()],
    }


def constants(step: int, calls: CallMeasurement) -> Columns:
    """Return the columns of the trace at a step: the shares of units that have one value."""
    statistics = ["fraction_dead", "fraction_constant"]
    return {
        "step": np.full(2 * len(calls.constants), step),
        "layer_index": [index for index, _, _ in calls.constants for _ in statistics],
        "layer": [layer for _, layer, _ in calls.constants for _ in statistics],
        "tensor": [tensor for _, _, tensor in calls.constants for _ in statistics],
        "statistic": statistics * len(calls.constants),
        "value": [share for shares in calls.constants.values() for share in shares],
    }


def units(step: int, calls: CallMeasurement) -> list[Columns]:
    """Return the columns of the units at a step, in pieces of one layer."""
    return [
        {
            "epoch": [None] * len(active),  # a loop does not say
            "step": np.full(len(active), step),
            "layer_index": np.full(len(active), index),
            "layer": [layer] * len(active),
            "unit": np.arange(len(active)),
            "fraction_active": active,
            "fraction_flat": flat,
        }
        for (index, layer), (active, flat) in calls.units.items()
    ]


def heads(step: int, calls: CallMeasurement) -> list[Columns]:
    """Return the columns of the heads of attention at a step, in pieces of one statistic."""
    return [
        {
            "step": np.full(len(values), step),
            "layer_index": np.full(len(values), index),
            "layer": [layer] * len(values),
            "head": np.arange(len(values)),
            "tensor": [tensor] * len(values),
            "statistic": [statistic] * len(values),
            "value": values,
        }
        for (index, layer), rows in calls.heads.items()
        for (tensor, statistic), values in rows.items()
    ]
