"""A watched training as it stands after some steps: the numbers that verdicts and causes read."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vanishing.files import read_json
from vanishing.judging.runs import Run, load_run
from vanishing.results.tables import select
from vanishing.results.watched import read_run, record_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOFTMAX_ROW_SUM = 0.02  # of |Σg| / Σ|g|, below which rows of dL/dz sum to 0 up to half precision


class Watched(NamedTuple):
    """All that a watch has left of a training.

    Attributes:
        run: The tables that rules read.
        steps: The table of that name.
        record: The content of run.json.
    """

    run: Run
    steps: pd.DataFrame
    record: Mapping[str, Any]

    def until(self, step: int) -> "Watched":
        """Return what there was after a step.

        The loss of the step itself is left out: a loop may tell it before the step or after it.
        """
        tables = {name: rows[rows["step"] <= step] for name, rows in self.run.tables.items()}
        tables["losses"] = tables["losses"][tables["losses"]["step"] < step]
        steps = self.steps[self.steps["step"] <= step]
        return self._replace(run=self.run._replace(tables=tables), steps=steps)


def load(folder: Path) -> Watched:
    """Read a run, with the errors of `read_run`."""
    return Watched(load_run(folder), read_run(folder, "steps"), read_json(record_path(folder)))


class Moment:
    """What a training has left up to a step; later rows count for nothing.

    Args:
        watched: The training.
        step: The last one that counts; None for all.

    Attributes:
        run: The tables up to the step.
        losses: (losses,), of the steps in order.
        step: The last one that was recorded.
    """

    def __init__(self, watched: Watched, step: int | None = None) -> None:
        self.run, self.steps, self.record = watched if step is None else watched.until(step)
        losses = self.run.tables["losses"].sort_values("step")
        self.losses: NDArray[np.float64] = losses["loss"].to_numpy(dtype=np.float64)
        traced = self.run.tables["trace"]["step"]
        last_traced = int(traced.max()) if len(traced) else 0
        self.step = max(last_traced, int(losses["step"].max()) if len(losses) else 0)

    def of_network(self, tensor: str, statistic: str) -> "pd.Series[float]":
        """Return a statistic of the whole network's `input` or `output`, by traced step."""
        means: pd.Series[float] = self.by_layer(tensor, statistic).mean(axis=1)
        return means

    def by_layer(self, tensor: str, statistic: str) -> pd.DataFrame:
        """Return a statistic, a row per traced step and a column per layer, in their order."""
        rows = select(self.run.tables["trace"], tensor, statistic)
        order = rows.drop_duplicates("layer").sort_values("layer_index")["layer"]
        table = rows.pivot_table(index="step", columns="layer", values="value", dropna=False)
        ordered: pd.DataFrame = table.reindex(columns=list(order))
        return ordered

    def at_start(self, tensor: str, statistic: str) -> "pd.Series[float]":
        """Return a statistic at the first traced step, by layer; empty where it is not recorded."""
        return first_row(self.by_layer(tensor, statistic))

    def at_last(self, tensor: str, statistic: str) -> "pd.Series[float]":
        """Return a statistic at the last traced step, likewise."""
        return last_row(self.by_layer(tensor, statistic))

    @cached_property
    def update_ratios(self) -> pd.DataFrame:
        """‖update‖ / ‖weights before it‖, a row per traced step and a column per layer."""
        rows = self.run.update_ratios()
        weights = rows[rows["tensor"].str.contains("weight") | (rows["tensor"] == "update")]
        finite = weights[np.isfinite(weights["value"])]
        ratios: pd.DataFrame = finite.pivot_table(
            index="step", columns="layer", values="value", aggfunc="max"
        )
        return ratios

    @cached_property
    def rates(self) -> "pd.Series[float]":
        """The learning rate by step, the largest of all groups."""
        steps: pd.Series[float] = self.steps.groupby("step")["learning_rate"].max()
        return steps

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of the optimizers' groups, as they were when the watch began.

        Of several groups the largest number counts.
        """
        largest: dict[str, Any] = {}
        for optimizer in self.record.get("optimizers", ()):
            for group in optimizer["groups"]:
                for key, value in group["settings"].items():
                    is_number = isinstance(value, int | float) and not isinstance(value, bool)
                    largest[key] = max(value, largest.get(key, value)) if is_number else value
        return largest

    @cached_property
    def optimizer(self) -> str:
        """The class of the first optimizer; empty where it is not known."""
        optimizers = self.record.get("optimizers") or [{"class": ""}]
        return str(optimizers[0]["class"])

    @cached_property
    def is_softmax(self) -> bool:
        """Whether the loss is the cross-entropy of a softmax, by the rows of dL/dz."""
        sums = self.of_network("output", "row_sum").dropna()
        return bool(len(sums)) and float(sums.median()) < _SOFTMAX_ROW_SUM

    @cached_property
    def classes(self) -> int | None:
        """The number of outputs of the last layer with weights; None where it is not known."""
        positions = self.at_start("preactivation", "position")
        shapes = {parameter["layer"]: parameter["shape"] for parameter in self.matrices}
        layers = [layer for layer in positions.sort_values().index if layer in shapes]
        return int(shapes[layers[-1]][0]) if layers else None

    @cached_property
    def scale(self) -> float:
        """The scale of the first traced step (`stats.answers`); NaN of a loss without a softmax."""
        scales = self.of_network("output", "scale").dropna()
        return float(scales.iloc[0]) if self.is_softmax and len(scales) else math.nan

    @property
    def parameters(self) -> Sequence[Mapping[str, Any]]:
        """The parameters, as run.json has them; none where there is no record."""
        parameters: Sequence[Mapping[str, Any]] = self.record.get("parameters", ())
        return parameters

    @property
    def matrices(self) -> list[Mapping[str, Any]]:
        """The parameters of two dimensions or more."""
        return [parameter for parameter in self.parameters if len(parameter["shape"]) > 1]


def first_row(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the first row of a table; of none an empty one."""
    return table.iloc[0] if len(table) else pd.Series(dtype=float)


def last_row(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the last row of a table; of none an empty one."""
    return table.iloc[-1] if len(table) else pd.Series(dtype=float)
