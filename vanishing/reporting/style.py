"""Colours, lines and signs, and marks for values that an axis cannot show.

It loads matplotlib only where a function needs it, since the report writes the same signs.
"""

from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from vanishing.judging.kinds import FAILS, NOTE, WARNING
from vanishing.judging.verdicts import FINE, NOT_APPLICABLE, UNDEFINED
from vanishing.params.answers import LEARNS, TOO_EARLY, WILL_NOT_LEARN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Okabe & Ito's palette, told apart with every common colour blindness (jfly.uni-koeln.de/color),
# without its yellow, which is too pale for a line.
PALETTE = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
MOST_MARKS = 25  # along a line; more would hide it
MINUS = "\N{MINUS SIGN}"  # as matplotlib writes numbers

MEASURED, THEORY = PALETTE[4], PALETTE[5]
REFERENCE = "#999999"  # of a line at 0 or 1
MISSING = "#bbbbbb"  # of cells of a heat map without a finite value
COLORMAP = "viridis"  # equal steps look equal, with colour blindness too
DENSITY_COLORMAP = "viridis_r"  # light where little is, since the page is white

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "figure.dpi": 200,
    "svg.hashsalt": "",
}


class LineStyle(NamedTuple):
    """A line's style: it tells a variant from the others by colour, and by dashes and marker too.

    The fields are keyword arguments of `Axes.plot`.
    """

    color: str
    linestyle: str
    marker: str


def line_styles(names: list[str]) -> dict[str, LineStyle]:
    """Give each name a style that no other has; the first seven differ in colour already.

    Returns:
        {name: style}. Styles repeat from the 141st name on.
    """
    dashes = [dash for dash in DASHES for _ in PALETTE]
    styles = map(LineStyle, cycle(PALETTE), cycle(dashes), cycle(MARKERS))
    return dict(zip(names, styles, strict=False))


def layer_colors(count: int) -> list[Any]:
    """Return colours for layers 0 … count - 1, dark (the input's side) to light."""
    from matplotlib import colormaps  # noqa: PLC0415 - the report needs no matplotlib

    return [colormaps[COLORMAP](x) for x in np.linspace(0, 0.9, count)]


class VerdictStyle(NamedTuple):
    """How the matrix shows a verdict, a problem by its kind; the sign tells it without colour."""

    color: str
    sign: str


LEARNING_STYLES = {
    WILL_NOT_LEARN: VerdictStyle("#D55E00", "×"),
    TOO_EARLY: VerdictStyle("#F0E442", "…"),
    LEARNS: VerdictStyle("#7FCFB5", "✓"),
}
RULE_STYLES = {
    FAILS: VerdictStyle("#D55E00", "×"),
    WARNING: VerdictStyle("#E69F00", "!"),
    NOTE: VerdictStyle("#56B4E9", "i"),
    FINE: VerdictStyle("#EEF3F7", "·"),
    UNDEFINED: VerdictStyle("#BBBBBB", "?"),
    NOT_APPLICABLE: VerdictStyle("#FFFFFF", "-"),
}


class OffScale(NamedTuple):
    """A mark at the edge of the axes for values that the axis cannot show.

    Attributes:
        marker: matplotlib's.
        edge: Position along the axis of the values, 0 its lower end and 1 its upper end.
        label: Of the mark in the legend.
    """

    marker: str
    edge: float
    label: str


NOT_FINITE = OffScale("x", 0.97, "not finite")
NOT_POSITIVE = OffScale("v", 0.03, "zero")


def mark_off_scale(
    axes: "Axes",
    positions: "pd.Series",
    values: "pd.Series",
    color: str,
    value_axis: Literal["x", "y"] = "y",
) -> None:
    """Mark values that are NaN or infinite, and values of 0 and below on a logarithmic axis.

    Of more than MOST_MARKS values of a kind, about as many are marked, at equal distances.

    Args:
        axes: Those in which the values were drawn, with their scale already set.
        positions: (n,), along the other axis.
        values: (n,), as drawn.
        color: Of the line or points that were drawn.
        value_axis: The axis along which the values run.
    """
    upright = value_axis == "y"
    scale = axes.get_yscale() if upright else axes.get_xscale()
    finite = np.isfinite(values.to_numpy(dtype=float))
    masks = {NOT_FINITE: ~finite, NOT_POSITIVE: finite & (values <= 0) & (scale == "log")}
    for mark, mask in masks.items():
        marked = positions[mask].iloc[:: max(1, int(mask.sum()) // MOST_MARKS)]
        edge = np.full(len(marked), mark.edge)
        if marked.empty:
            continue
        transform = axes.get_xaxis_transform() if upright else axes.get_yaxis_transform()
        x, y = (marked, edge) if upright else (edge, marked)
        axes.update_datalim(np.column_stack([x, y]), updatex=upright, updatey=not upright)
        # Labelled once in an axes, however many variants have such values.
        labelled = mark.label in axes.get_legend_handles_labels()[1]
        axes.scatter(
            x,
            y,
            marker=mark.marker,
            color=color,
            s=14,
            linewidth=1,
            transform=transform,
            clip_on=False,
            label=None if labelled else mark.label,
            zorder=4,
        )


def note_layers(axes: "Axes", layers: list[Any], reason: str) -> None:
    """Name the layers that could not be drawn, and say why, in a corner of the axes."""
    if layers:
        text = f"layer{'s' if len(layers) > 1 else ''} {ranges(layers)}: {reason}"
        axes.text(0.02, 0.96, text, transform=axes.transAxes, va="top", fontsize=6.5)


def ranges(numbers: list[Any]) -> str:
    """Write ascending whole numbers, neighbours as a range: [0, 1, 2, 4] is "0 - 2, 4"."""
    runs: list[list[int]] = []
    for number in map(int, numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} - {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
