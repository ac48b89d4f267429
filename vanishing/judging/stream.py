"""The gradient along a network's residual stream, from block to block, and through time.

A block is a step of a network along its depth, such as `encoder.layers.17`: it takes h and returns
the next h, by whatever branches. With h_a and h_b the outputs of two blocks, of which a comes
first, the attenuation between them is rms(dL/dh_a) / rms(dL/dh_b). A layer in no block is one.

A recurrent layer passes h on from one time step to the next; its attenuation from t to the last
step T is rms(dL/dh_t) / rms(dL/dh_T).
"""

import math

import numpy as np
import pandas as pd

from vanishing.errors import StudyError
from vanishing.judging.runs import Run
from vanishing.results.blocks import block_of

_OF_STATE = r"(?:hidden|cell)_gradient_l\d+(?:_reverse)?$"
_TIME = r"^(?P<layer>.*?)(?:#(?P<time>\d+))?$"  # a second call's is layer#2#time


def gradient_along_stream(trace: pd.DataFrame | Run, at_end: bool = False) -> pd.DataFrame:
    """Return the gradient of each block's output.

    A StudyError says that the table has rows of several runs.

    Args:
        trace: The table `trace` of a watched run, as `read_run` returns it, or the run.
        at_end: Whether at the last traced step; else at the first.

    Returns:
        Columns block, position and rms, in the order of the forward pass; the second call of a
        block is `block#2`. No rows where modules were not recorded.
    """
    run = _run_of(trace)
    blocks = run.in_order("stream_gradient", at_end)
    layers = run.in_order("backpropagated_gradient", at_end)
    names = layers["layer"].str.partition("#")[0] if len(layers) else layers["layer"]
    alone = layers[names.map(block_of) == names]
    rows = pd.concat([blocks, alone[~alone["layer"].isin(blocks["layer"])]])
    rows = rows.sort_values(["position", "layer_index"], kind="stable")
    renamed = rows.rename(columns={"layer": "block", "value": "rms"})
    return renamed[["block", "position", "rms"]].reset_index(drop=True)


def attenuation_along_stream(
    gradients: pd.DataFrame, first: str | None = None, last: str | None = None
) -> float:
    """Return rms(dL/dh) of one block over that of a later one.

    Args:
        gradients: As from `gradient_along_stream`.
        first: A block; None for the first.
        last: A later block; None for the last.

    Returns:
        The attenuation; NaN where a block is not recorded or both gradients are 0, infinite where
        that of the later one is.
    """
    rms = gradients.set_index("block")["rms"]
    if rms.empty:
        return math.nan
    before, after = (
        rms.iloc[place] if name is None else rms.get(name, math.nan)
        for name, place in ((first, 0), (last, -1))
    )
    if after == 0:
        return math.nan if before == 0 else math.inf
    return float(before / after)


def gradient_through_time(trace: pd.DataFrame | Run, at_end: bool = False) -> pd.DataFrame:
    """Return the gradient of the states of recurrent layers at each time step.

    A StudyError says that the table has rows of several runs.

    Args:
        trace: The table `trace` of a watched run, as `read_run` returns it, or the run.
        at_end: Whether at the last traced step; else at the first.

    Returns:
        Columns layer, tensor (`hidden_gradient_l0`, `cell_gradient_l0_reverse`, …), time (1 is the
        first) and rms. No rows without recurrent layers.
    """
    trace = _run_of(trace).tables["trace"]
    rows = trace[trace["tensor"].str.match(_OF_STATE) & (trace["statistic"] == "rms")]
    rows = rows[rows["step"] == (rows["step"].max() if at_end else rows["step"].min())]
    parts = rows["layer"].str.extract(_TIME)
    return pd.DataFrame(
        {
            "layer": parts["layer"],
            "tensor": rows["tensor"],
            "time": parts["time"].fillna("1").astype("int64"),
            "rms": rows["value"],
        }
    ).reset_index(drop=True)


def attenuation_through_time(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return rms of the gradient of each first state over that of the last one.

    The reverse direction begins at the end of the sequence: its first state is that at t = T.

    Args:
        gradients: As from `gradient_through_time`.

    Returns:
        Columns layer, tensor, first and last (the time steps of these states) and attenuation: NaN
        where both gradients are 0, infinite where that of the last state is. A row for each layer
        and tensor, in their order.
    """
    states = []
    for (layer, tensor), rows in gradients.groupby(["layer", "tensor"], sort=False):
        in_order = rows.sort_values("time", ascending=not str(tensor).endswith("_reverse"))
        (first, last), (before, after) = (in_order[c].iloc[[0, -1]] for c in ("time", "rms"))
        with np.errstate(divide="ignore", invalid="ignore"):
            states.append((layer, tensor, first, last, np.divide(before, after)))
    frame = pd.DataFrame(states, columns=["layer", "tensor", "first", "last", "attenuation"])
    return frame.astype({"attenuation": "float64"})


def _run_of(trace: pd.DataFrame | Run) -> Run:
    """Return a run, or what of one a trace is enough for.

    Raises:
        StudyError: If the trace has rows of several runs.
    """
    if isinstance(trace, Run):
        return trace
    runs = len(trace.drop_duplicates(["variant", "seed"]))
    if runs > 1:
        raise StudyError(f"the trace has rows of {runs} runs; should be of one; select one first")
    return Run("", {"trace": trace})
