"""States of recurrent layers by time step: rows `NAME` for the first, `NAME#2` for the second."""

import pandas as pd

HIDDEN = r"hidden_gradient_l\d+(?:_reverse)?"  # dL/dh of a layer and direction
STATE = r"(?:hidden|cell)_gradient_l\d+(?:_reverse)?"  # the same, and dL/dc

_LAYER_AND_TIME = r"^(?P<layer>.*?)(?:#(?P<time>\d+))?$"  # a second call's is NAME#2#time


def select_by_time(rows: pd.DataFrame, tensors: str = STATE) -> pd.DataFrame:
    """Select rms of the gradients of recurrent states, with their time step.

    Args:
        rows: Rows of statistics, as of `layers` or `trace`.
        tensors: HIDDEN or STATE.

    Returns:
        These rows, `layer` without the time step, which is in the column time; 1 is the first.
    """
    states = rows[(rows["statistic"] == "rms") & rows["tensor"].str.fullmatch(tensors)]
    parts = states["layer"].str.extract(_LAYER_AND_TIME)
    return states.assign(layer=parts["layer"], time=parts["time"].fillna("1").astype("int64"))
