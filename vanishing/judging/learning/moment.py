"""A training as it stands after some steps: the numbers that verdicts and causes read."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vanishing.judging.runs import Run
from vanishing.results.tables import select

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOFTMAX_ROW_SUM = 0.02  # of |Σg| / Σ|g|, below which rows of dL/dz sum to 0 up to half precision


class Moment:
    """What a training has left up to a step; later rows count for nothing.

    Args:
        run: The training.
        step: The last one that counts; None for all.

    Attributes:
        run: The tables up to the step.
        losses: (losses,), of the steps in order.
        step: The last one that was recorded.
    """

    def __init__(self, run: Run, step: int | None = None) -> None:
        self.run = run if step is None else run.until(step)
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

    @property
    def steps(self) -> pd.DataFrame:
        """The table of that name; without rows where it is not recorded."""
        columns = ["step", "learning_rate", "norm_before_clipping"]
        steps: pd.DataFrame = self.run.tables.get("steps", pd.DataFrame(columns=columns))
        return steps

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of the optimizers' groups, as they were when the watch began.

        Of several groups the largest number counts.
        """
        largest: dict[str, Any] = {}
        for optimizer in self.run.record.get("optimizers", ()):
            for group in optimizer["groups"]:
                for key, value in group["settings"].items():
                    is_number = isinstance(value, int | float) and not isinstance(value, bool)
                    largest[key] = max(value, largest.get(key, value)) if is_number else value
        return largest

    @cached_property
    def optimizer(self) -> str:
        """The class of the first optimizer; empty where it is not known."""
        optimizers = self.run.record.get("optimizers") or [{"class": ""}]
        return str(optimizers[0]["class"])

    @cached_property
    def is_softmax(self) -> bool:
        """Whether the loss is the cross-entropy of a softmax: known, or by the rows of dL/dz."""
        if self.run.classes is not None:
            return True
        sums = self.of_network("output", "row_sum").dropna()
        return bool(len(sums)) and float(sums.median()) < _SOFTMAX_ROW_SUM

    @cached_property
    def classes(self) -> int | None:
        """The number of classes, or else of features of the outputs; None where not recorded."""
        if self.run.classes is not None:
            return self.run.classes
        features = self.of_network("output", "features").dropna()
        return int(features.iloc[0]) if len(features) else None

    @cached_property
    def scale(self) -> float:
        """The scale of the first traced step (`stats.answers`); NaN of a loss without a softmax."""
        scales = self.of_network("output", "scale").dropna()
        return float(scales.iloc[0]) if self.is_softmax and len(scales) else math.nan

    @property
    def matrices(self) -> list[Mapping[str, Any]]:
        """The parameters of two dimensions or more."""
        return [parameter for parameter in self.run.parameters if len(parameter["shape"]) > 1]


def first_row(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the first row of a table; of none an empty one."""
    return table.iloc[0] if len(table) else pd.Series(dtype=float)


def last_row(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the last row of a table; of none an empty one."""
    return table.iloc[-1] if len(table) else pd.Series(dtype=float)
