"""A watched network in depth order, one row per block, however many layers it has."""

import numpy as np
import pandas as pd

from vanishing.judging.runs import Run
from vanishing.judging.stream import gradient_along_stream
from vanishing.results.blocks import block_of


def blocks(run: Run) -> pd.DataFrame:
    """Describe the blocks of a run, in the order of the forward pass.

    Those that it does not show, as where modules were not recorded, come last, in the order of
    definition.

    Returns:
        Columns block, layers (how many), stream_first and stream_last (rms(dL/dh) of the block's
        output h over that of the last block, see `judging.stream`, at the first and at the last
        traced step), gradient_first and gradient_last (the l2 norm of all gradients of the block's
        parameters, likewise), update_ratio (‖updates‖ / ‖values‖ of all of them, at the last;
        NaN without updates), and fraction_dead and fraction_constant (the largest share of one of
        the block's layers, at the last; NaN without modules).
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
        is_last = norms["step"] == last
        rows["update_ratio"] = _root(norms[is_update & is_last]) / _root(norms[is_value & is_last])
        outputs = {
            at_end: gradient_along_stream(run, at_end).set_index("block")
            for at_end in (False, True)
        }
        for column, at_end in (("stream_first", False), ("stream_last", True)):
            rms = outputs[at_end]["rms"]
            rows[column] = (rms / rms.iloc[-1:].sum()).reindex(rows.index)
    rows = rows.join(_constant_units(run))
    rows["position"] = outputs[True]["position"].reindex(rows.index)
    rows = rows.sort_values(["position", "layer_index"], kind="stable")
    return rows.drop(columns=["layer_index", "position"]).reset_index()


def _constant_units(run: Run) -> pd.DataFrame:
    """Return fraction_dead and fraction_constant by block; of φ(z), or of z where none was seen."""
    trace = run.tables["trace"]
    statistics = ["fraction_dead", "fraction_constant"]
    shares = trace[trace["statistic"].isin(statistics)]
    shares = shares[shares["step"] == shares["step"].max()].sort_values("tensor")
    shares = shares.drop_duplicates(["layer", "statistic"])  # activation is before preactivation
    layers = shares["layer"].str.partition("#")[0] if len(shares) else shares["layer"]
    shares = shares.assign(block=layers.map(block_of))
    wide = shares.pivot_table(index="block", columns="statistic", values="value", aggfunc="max")
    by_block: pd.DataFrame = wide.reindex(columns=statistics)
    return by_block


def _value_of(updates: pd.Series) -> set[str]:
    """Return the tensors that updates are of: `update` of `weight`, `bias_update` of `bias`."""
    return {"weight" if name == "update" else name.removesuffix("_update") for name in updates}


def _root(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("block")["square"].sum() ** 0.5
