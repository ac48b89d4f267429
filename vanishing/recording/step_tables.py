"""One step of training as columns of tables, without `variant` and `seed`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from vanishing.recording.parameters import NamedParameter
from vanishing.recording.step_trace import Measurement
from vanishing.stats.fast import STATISTICS
from vanishing.stats.histograms import EXPONENT_EDGES

Columns = dict[str, Any]
Names = Mapping[Tensor, NamedParameter]


def trace(step: int, measurement: Measurement, names: Names) -> Columns:
    """Return the columns of the trace at a step.

    Per parameter: the statistics of its gradient, the `l2_norm` of its values and of its update,
    and the update's `ratio` = ‖W_before - W_after‖ / ‖W_before‖, which is NaN for 0/0 and infinite
    where zeros are updated.
    """
    norms = measurement.norms
    values = [*measurement.gradients.statistics.values(), *norms.T]  # (parameters,) each
    statistics = [*STATISTICS, "l2_norm"]
    which = [0] * len(STATISTICS) + [1]  # gradient, values or update
    if norms.shape[1] > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            values.append(norms[:, 1] / norms[:, 0])
        statistics += ["l2_norm", "ratio"]
        which += [2, 2]
    named = [names[parameter] for parameter in measurement.parameters]
    return {
        "step": np.full(len(named) * len(which), step),
        "layer_index": np.repeat([name.layer_index for name in named], len(which)),
        "layer": [name.layer for name in named for _ in which],
        "tensor": [name.tensors[i] for name in named for i in which],
        "statistic": statistics * len(named),
        "value": np.stack(values, axis=1).flatten(),
    }


def histograms(step: int, measurement: Measurement, names: Names) -> Columns:
    """Return the columns of the gradients' histograms at a step."""
    counts = measurement.gradients.counts
    row, position = np.nonzero(counts)
    named = [names[parameter] for parameter in measurement.parameters]
    return {
        "step": np.full(len(row), step),
        "layer_index": np.array([name.layer_index for name in named])[row],
        "layer": [named[i].layer for i in row],
        "tensor": [named[i].tensors[0] for i in row],
        "bin_left": EXPONENT_EDGES[position, 0],
        "bin_right": EXPONENT_EDGES[position, 1],
        "count": counts[row, position],
    }
