"""The gradient through time of watched trainings: a figure, and lines of the report."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishing.judging.runs import Run
from vanishing.judging.stream import gradient_through_time
from vanishing.judging.through_time import attenuation_through_time
from vanishing.reporting import panels
from vanishing.reporting.layout import COLUMNS, WIDTH, add_legend_above
from vanishing.reporting.style import PALETTE, LineStyle

_MOST_PANELS = 24
_MOST_LINES = 4
_TITLE = 44  # characters that a third of the page has room for
_KINDS = {"hidden": "dL/dh", "cell": "dL/dc"}
_STYLES = {
    "first traced step": LineStyle(PALETTE[4], "--", "o"),
    "last traced step": LineStyle(PALETTE[5], "-", "s"),
}


def is_recorded(runs: Iterable[Run]) -> bool:
    """Tell whether a recurrent layer of a run was recorded."""
    return any(len(gradient_through_time(run)) for run in runs)


def draw(runs: Mapping[str, Run]) -> Figure:
    """Draw rms(dL/dh_t) and rms(dL/dc_t) against t, a panel per state, layer and direction.

    Args:
        runs: {label: run}, of which one has a recurrent layer.

    Returns:
        The figure. Of more panels than 24 it has the first twelve and the last.
    """
    frame = pd.concat([_states(run, label, len(runs) > 1) for label, run in runs.items()])
    titles = list(frame["title"].unique())
    half = _MOST_PANELS // 2
    shown = titles if len(titles) <= _MOST_PANELS else [*titles[:half], *titles[-half:]]
    has_cells = frame["title"].str.endswith("dL/dc").any()
    columns = min(len(shown), 2 if has_cells else COLUMNS)  # dL/dc beside dL/dh
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(WIDTH, 0.8 + 2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for title, axes in zip(shown, grid, strict=False):
        axes.set_yscale("log")
        panels.draw_lines(frame[frame["title"] == title], axes, "time", "rms", _STYLES, "line")
        axes.set_title(_shorten(title))
        axes.tick_params(labelleft=True)
    for axes in grid[len(shown) :]:
        axes.remove()
    left_out = f"; {len(shown)} of {len(titles)} panels" if len(shown) < len(titles) else ""
    figure.supxlabel(f"time step t of the sequence{left_out}", fontsize=8)
    figure.supylabel("rms over batch and units (loss per unit of the state)", fontsize=8)
    add_legend_above(figure)
    return figure


def describe(run: Run) -> list[str]:
    """Say, per recurrent layer and direction, how much of the gradient reaches the first state.

    Of many states, those whose attenuation is furthest from 1 at the first traced step. It is
    infinite where the loss does not depend on the last state, as that of the reverse direction.

    Returns:
        Sentences; none where no recurrent layer was recorded.
    """
    first, last = (
        attenuation_through_time(gradient_through_time(run, at_end)) for at_end in (False, True)
    )
    states = first.merge(last, on=["layer", "tensor"], how="left", suffixes=("", "_last"))
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.log(states["attenuation"]).abs()
    distance = distance.where(np.isfinite(states["attenuation"]), -1.0)
    furthest = distance.sort_values(ascending=False, kind="stable").index[:_MOST_LINES]
    lines = [
        f"Through time, rms of {row['layer'] or '(model)'} {row['tensor']} at t = {row['first']}"
        f" over that at t = {row['last']}: {_number(row['attenuation'])} at the first traced step,"
        f" {_number(row['attenuation_last'])} at the last."
        for row in states.loc[sorted(furthest)].to_dict("records")
    ]
    if len(states) > len(lines):
        lines.append(f"Of {len(states)} states, these are the {len(lines)} furthest from 1.")
    return lines


def _states(run: Run, label: str, several: bool) -> pd.DataFrame:
    """Return columns title, line, time and rms of a run."""
    moments = {"first": gradient_through_time(run), "last": gradient_through_time(run, True)}
    if len(run.tables["trace"]["step"].unique()) == 1:
        del moments["last"]  # it is the first
    parts = []
    for moment, states in moments.items():
        names = states["tensor"].str.extract(r"^(hidden|cell)_gradient_l(\d+)(_reverse)?$")
        directions = names[2].map({"_reverse": ", reverse"}).fillna("")
        titles = states["layer"].replace("", "(model)") + ", layer " + names[1] + directions
        titles = label + ": " + titles if several else titles
        titles = titles + ": " + names[0].map(_KINDS)
        parts.append(states.assign(title=titles, line=f"{moment} traced step"))
    return pd.concat(parts)


def _shorten(title: str) -> str:
    """Leave out the middle of a long title: numbers of blocks stand before it, the state after."""
    half = _TITLE // 2
    return title if len(title) <= _TITLE else f"{title[: half - 1]}…{title[-half:]}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2e}"
