"""Gradients, weights and updates of a network's weight layers at some steps of its training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vanishing.errors import StudyError
from vanishing.recording import step_tables
from vanishing.recording.layers import weight_layers
from vanishing.recording.parameters import NamedParameter
from vanishing.recording.step_tables import Columns
from vanishing.recording.step_trace import Measurement, StepTrace

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Trace:
    """The traced steps of a training, as `vanishing.watch` records them.

    Of each parameter of a weight layer, such as W and b: the statistics and the histogram of the
    gradient as the optimizer gets it (dL/dW and dL/db of the batch's mean loss), the norm of the
    values before the step, and the norm and the ratio of the update (`recording.step_tables`). A
    parameter without a gradient has none of them at that step.

    At a traced step the optimizer calls `before` and `after` of an `observer` for each parameter;
    then the training loop calls `read`, which copies all numbers of the step from the device at
    once.
    """

    def __init__(self, network: nn.Module) -> None:
        self._names: dict[Tensor, NamedParameter] = {}
        for index, (layer, module) in enumerate(weight_layers(network).items()):
            for leaf, parameter in module.named_parameters(recurse=False):
                if parameter.requires_grad:
                    named = NamedParameter(parameter, index, layer, leaf, ())
                    self._names.setdefault(parameter, named)  # of tied ones the first
        self._steps: list[int] = []
        self._recorded: list[NDArray[np.bool_]] = []  # (parameters,): which had a gradient
        self._numbers: list[NDArray[np.float64]] = []  # of these; see `Measurement`

    def observer(self) -> StepTrace:
        """Make the observer of one step."""
        return StepTrace(self._names)

    def read(
        self, step: int, observer: StepTrace, loss: Tensor
    ) -> tuple[list[dict[str, Any]], float]:
        """Copy a traced step from the device and keep it, as step number `step` (1 the first).

        Returns:
            The step's rows of `l2_norm`, as in `statistics`, and its loss.

        Raises:
            StudyError: If the loss depends on no weight layer.
        """
        measurement = observer.read()
        if measurement is None:
            raise StudyError("no gradient comes from the loss to a weight layer")
        self._steps.append(step)
        ids = [id(parameter) for parameter in measurement.parameters]
        self._recorded.append(np.isin([id(parameter) for parameter in self._names], ids))
        self._numbers.append(measurement.numbers)
        columns = step_tables.trace(step, measurement, self._names)
        plain = {name: np.asarray(column).tolist() for name, column in columns.items()}
        rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
        return [row for row in rows if row["statistic"] == "l2_norm"], loss.item()

    def state(self) -> dict[str, Tensor]:
        """Return all traced steps, for `restore`."""
        return {
            "steps": torch.tensor(self._steps, dtype=torch.int64),
            "recorded": torch.from_numpy(np.stack(self._recorded)),
            "numbers": torch.from_numpy(np.concatenate(self._numbers)),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Replace all traced steps by those that `state` returned."""
        self._steps = state["steps"].tolist()
        self._recorded = list(state["recorded"].numpy())
        counts = [int(recorded.sum()) for recorded in self._recorded]
        self._numbers = np.split(state["numbers"].numpy(), np.cumsum(counts)[:-1])

    def statistics(self) -> list[Columns]:
        """Return the columns of trace.parquet, without `variant` and `seed`, step by step."""
        return [step_tables.trace(*step, self._names) for step in self._measurements()]

    def histograms(self) -> list[Columns]:
        """Return the columns of trace_histograms.parquet, likewise."""
        return [step_tables.histograms(*step, self._names) for step in self._measurements()]

    def _measurements(self) -> list[tuple[int, Measurement]]:
        parameters = list(self._names)
        return [
            (step, Measurement([parameters[i] for i in np.flatnonzero(recorded)], numbers))
            for step, recorded, numbers in zip(
                self._steps, self._recorded, self._numbers, strict=True
            )
        ]
