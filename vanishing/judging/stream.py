"""The gradient along a network's residual stream, from block to block, and through time.

A block is a step of a network along its depth, such as `encoder.layers.17`: it takes h and returns
the next h, by whatever branches. With h_a and h_b the outputs of two blocks, of which a comes
first, the attenuation between them is rms(dL/dh_a) / rms(dL/dh_b). A layer in no block is one.

A recurrent layer passes h on from one time step to the next; its attenuation from t to the last
step T is rms(dL/dh_t) / rms(dL/dh_T).
"""

import math

import pandas as pd

from vanishing.errors import StudyError
from vanishing.judging.runs import Run
from vanishing.results.blocks import block_of
from vanishing.results.time_steps import select_by_time


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
    rows = select_by_time(trace).rename(columns={"value": "rms"})
    rows = rows[rows["step"] == (rows["step"].max() if at_end else rows["step"].min())]
    states: pd.DataFrame = rows[["layer", "tensor", "time", "rms"]].reset_index(drop=True)
    return states


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
