"""A watched network in depth order, one row per block, however many layers it has."""

import re

import numpy as np
import pandas as pd

from vanishing.judging.runs import Run

_INDEXED = re.compile(r"^(?:.*?\.)?\d+(?=\.|$)")  # up to the first whole number: encoder.layers.17


def block_of(layer: str) -> str:
    """Return the block of a layer: its name up to the first number in it, or up to its last part.

    `encoder.layers.17.norm` is of `encoder.layers.17`, `decoder.head` of `decoder`.
    """
    match = _INDEXED.match(layer)
    if match:
        return match.group()
    return layer.rpartition(".")[0] or layer


def blocks(run: Run) -> pd.DataFrame:
    """Describe the blocks of a run, in the order of definition.

    Returns:
        Columns block, layers (how many), gradient_first and gradient_last (the l2 norm of all
        gradients of the block's parameters, at the first and at the last traced step), and
        update_ratio (‖updates‖ / ‖values‖ of all of them, at the last; NaN without updates).
    """
    norms = run.tables["trace"].query("statistic == 'l2_norm'")
    norms = norms.assign(block=norms["layer"].map(block_of), square=norms["value"] ** 2)
    gradients = norms[norms.index.isin(run.gradients("l2_norm").index)]
    first, last = gradients["step"].min(), gradients["step"].max()
    is_update = norms["tensor"].str.endswith("update")
    is_value = norms["tensor"].isin(_value_of(norms.loc[is_update, "tensor"]))
    rows = gradients.groupby("block", sort=False).agg(
        layers=("layer", "nunique"), layer_index=("layer_index", "min")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        rows["gradient_first"] = _root(gradients[gradients["step"] == first])
        rows["gradient_last"] = _root(gradients[gradients["step"] == last])
        at_end = norms["step"] == last
        rows["update_ratio"] = _root(norms[is_update & at_end]) / _root(norms[is_value & at_end])
    return rows.sort_values("layer_index", kind="stable").drop(columns="layer_index").reset_index()


def _value_of(updates: pd.Series) -> set[str]:
    """Return the tensors that updates are of: `update` of `weight`, `bias_update` of `bias`."""
    return {"weight" if name == "update" else name.removesuffix("_update") for name in updates}


def _root(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("block")["square"].sum() ** 0.5
