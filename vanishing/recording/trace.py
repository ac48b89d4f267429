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

    Of each weight layer's W and b: the statistics and the histogram of the gradient as the
    optimizer gets it (dL/dW and dL/db of the batch's mean loss), the norm of the values before the
    step, and the norm and the ratio of the update (`recording.step_tables`).

    At a traced step the optimizer calls `before` and `after` of an `observer` for each parameter;
    then the training loop calls `read`, which copies all numbers of the step from the device at
    once.
    """

    def __init__(self, network: nn.Module) -> None:
        self._names: dict[Tensor, NamedParameter] = {
            parameter: NamedParameter(parameter, index, name, leaf, ())
            for index, (name, layer) in enumerate(weight_layers(network).items())
            for leaf, parameter in layer.named_parameters(recurse=False)
        }
        self._steps: list[int] = []
        self._numbers: list[NDArray[np.float64]] = []  # see `Measurement`

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
            StudyError: If the loss does not depend on a weight layer.
        """
        measurement = observer.read()
        if measurement is None or len(measurement.parameters) < len(self._names):
            recorded = measurement.parameters if measurement else []
            name = next(name for p, name in self._names.items() if p not in recorded)
            raise StudyError(f"{name.name}: no gradient comes from the loss; forward must use it")
        self._steps.append(step)
        self._numbers.append(measurement.numbers)
        columns = step_tables.trace(step, measurement, self._names)
        plain = {name: np.asarray(column).tolist() for name, column in columns.items()}
        rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
        return [row for row in rows if row["statistic"] == "l2_norm"], loss.item()

    def state(self) -> dict[str, Tensor]:
        """Return all traced steps, for `restore`."""
        return {
            "steps": torch.tensor(self._steps, dtype=torch.int64),
            "numbers": torch.from_numpy(np.stack(self._numbers)),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Replace all traced steps by those that `state` returned."""
        self._steps = state["steps"].tolist()
        self._numbers = list(state["numbers"].numpy())

    def statistics(self) -> list[Columns]:
        """Return the columns of trace.parquet, without `variant` and `seed`, step by step."""
        return [step_tables.trace(*step, self._names) for step in self._measurements()]

    def histograms(self) -> list[Columns]:
        """Return the columns of trace_histograms.parquet, likewise."""
        return [step_tables.histograms(*step, self._names) for step in self._measurements()]

    def _measurements(self) -> list[tuple[int, Measurement]]:
        parameters = list(self._names)
        return [
            (step, Measurement(parameters, numbers))
            for step, numbers in zip(self._steps, self._numbers, strict=True)
        ]
