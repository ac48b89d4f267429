"""How each figure is drawn: a frame and an Axes in, the Axes out, nothing computed."""

from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

# Okabe & Ito's palette, told apart with every common colour blindness (jfly.uni-koeln.de/color),
# without its yellow, which is too pale for a line.
PALETTE = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
LINES = ("-", "--", ":", "-.")
MARKS = 25  # along a line; more would hide it
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

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


class Look(NamedTuple):
    """How a variant is told from the others: by colour, and by line and marker too."""

    color: str
    linestyle: str
    marker: str


def looks(variants: list[str]) -> dict[str, Look]:
    """Give each variant a look of its own; the first few differ in colour alone already."""
    lines = [line for line in LINES for _ in PALETTE]
    return dict(
        zip(variants, map(Look, cycle(PALETTE), cycle(lines), cycle(MARKERS)), strict=False)
    )


def layer_colors(count: int) -> list[Any]:
    """Return colours for layers 0 … count - 1, dark (the input's side) to light."""
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0, 0.9, count)]


class Lost(NamedTuple):
    """A mark at the edge of the axes for values that have no place on them."""

    marker: str
    edge: float
    words: str


NOT_FINITE = Lost("x", 0.97, "not finite")
NOT_POSITIVE = Lost("v", 0.03, "zero")


def mark_lost(
    axes: Axes, at: pd.Series, values: pd.Series, color: str, upright: bool = True
) -> None:
    """Mark what is NaN or infinite, and on a logarithmic axis what is zero, at the axes' edge.

    Args:
        axes: What the values were drawn in, with its scale already set.
        at: Where along the other axis.
        values: What was drawn.
        color: Of what was drawn.
        upright: Whether the values run upwards; else to the right.
    """
    scale = axes.get_yscale() if upright else axes.get_xscale()
    finite = np.isfinite(values.to_numpy(dtype=float))
    lost = {NOT_FINITE: ~finite, NOT_POSITIVE: finite & (values <= 0) & (scale == "log")}
    for how, which in lost.items():
        where = at[which].iloc[:: max(1, int(which.sum()) // MARKS)]
        edge = np.full(len(where), how.edge)
        if len(where):
            place = axes.get_xaxis_transform() if upright else axes.get_yaxis_transform()
            x, y = (where, edge) if upright else (edge, where)
            axes.update_datalim(np.column_stack([x, y]), updatex=upright, updatey=not upright)
            # Named once in an axes, however many variants have some.
            known = how.words in axes.get_legend_handles_labels()[1]
            axes.scatter(
                x,
                y,
                marker=how.marker,
                color=color,
                s=14,
                linewidth=1,
                transform=place,
                clip_on=False,
                label=None if known else how.words,
                zorder=4,
            )


def note_lost(axes: Axes, layers: list[Any], words: str) -> Axes:
    """Name the layers of which nothing could be drawn."""
    if layers:
        text = f"layer{'s' if len(layers) > 1 else ''} {spans(layers)}: {words}"
        axes.text(0.02, 0.96, text, transform=axes.transAxes, va="top", fontsize=6.5)
    return axes


def spans(numbers: list[Any]) -> str:
    """Write whole numbers in ascending order, runs of them as from - to."""
    runs: list[list[int]] = []
    for number in map(int, numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} - {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def draw_gradient_histogram(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw counts of dL/dW in equal bins on a logarithmic axis."""
    axes.bar(
        frame["bin_left"],
        frame["count"],
        width=frame["bin_right"] - frame["bin_left"],
        align="edge",
        color=PALETTE[4],
    )
    axes.set(xlim=(-1, 1), yscale="log", ylim=(0.5, None), xlabel="dL/dW")
    return axes


def draw_gradient_distributions(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw the share of |dL/dW| per power of two, a line per layer, coloured by its index."""
    for index, rows in frame.groupby("layer_index"):
        ordered = rows.sort_values("log10_left")
        middle = (ordered["log10_left"] + ordered["log10_right"]) / 2
        axes.plot(middle, ordered["share"], color=colors[int(str(index))], label=str(index))
    known = frame.groupby("layer_index")["share"].count()
    return note_lost(axes, list(known[known == 0].index), "zero or not finite")


def draw_activation_quantiles(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw φ(z) per layer: 1 to 99 % thin, 5 to 95 % thicker, quartiles thick, median a dot."""
    for low, high, width in (("q01", "q99", 0.8), ("q05", "q95", 2.2), ("q25", "q75", 5)):
        axes.vlines(
            frame["layer_index"],
            frame[low],
            frame[high],
            colors=colors[: len(frame)],
            linewidth=width,
        )
    axes.plot(frame["layer_index"], frame["q50"], "o", color="white", mec="black", ms=3.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlim=(-0.6, frame["layer_index"].max() + 0.6))
    broken = ~np.isfinite(frame[["q01", "q99"]].to_numpy()).all(axis=1)
    return note_lost(axes, list(frame["layer_index"][broken]), "not finite")


def draw_activation_distributions(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw the share of φ(z) per bin, a line per layer, over the bins that hold anything."""
    for index, rows in frame.groupby("layer_index"):
        edges = [*rows["bin_left"], rows["bin_right"].iloc[-1]]
        axes.stairs(rows["share"], edges, color=colors[int(str(index))], linewidth=1.1)
    taken = frame[frame["share"] > 0]
    if len(taken):
        axes.set_xlim(taken["bin_left"].min(), taken["bin_right"].max())
    within = frame.groupby("layer_index")["share"].sum()
    return note_lost(axes, list(within[within == 0].index), "none between -1 and 1")


def draw_attenuation_by_variant(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw a point with its interval per variant, and a mark for theory, from the top down."""
    rows = np.arange(len(frame))[::-1]
    axes.axvline(1, color="#999999", linewidth=0.8)
    axes.scatter(
        frame["predicted"], rows, marker="|", s=160, color=PALETTE[5], label="theory", zorder=3
    )
    below, above = frame["measured"] - frame["low"], frame["high"] - frame["measured"]
    axes.errorbar(
        frame["measured"],
        rows,
        xerr=(below.fillna(0), above.fillna(0)),
        fmt="o",
        color=PALETTE[4],
        capsize=2.5,
        label="measured, with 95 % interval",
    )
    axes.set(xscale="log", yticks=rows, yticklabels=frame["variant"])
    mark_lost(axes, pd.Series(rows, frame.index), frame["measured"], PALETTE[4], upright=False)
    return axes


def draw_saturation(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw a share against the epoch, a line per layer."""
    for index, rows in frame.groupby("layer_index"):
        axes.plot(rows["epoch"], rows["share"], "o-", color=colors[int(str(index))])
    axes.set(ylim=(-0.03, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


HEALTH_LOOKS = {  # verdict: colour, sign; the sign tells without the colour
    "problem": ("#D55E00", "×"),
    "fine": ("#DDEBF4", "·"),
    "undefined": ("#BBBBBB", "?"),
    "not applicable": ("#FFFFFF", "-"),
}


def draw_health_matrix(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw a cell per variant and rule: its verdict as a colour and as a sign."""
    variants, rules = list(frame["variant"].unique()), list(frame["rule"].unique())
    for row in frame.itertuples():
        x, y = rules.index(str(row.rule)), variants.index(str(row.variant))
        color, sign = HEALTH_LOOKS[str(row.verdict)]
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white"))
        axes.text(x, y, sign, ha="center", va="center", fontweight="bold")
    axes.set(
        xlim=(-0.5, len(rules) - 0.5),
        ylim=(len(variants) - 0.5, -0.5),
        yticks=range(len(variants)),
        yticklabels=variants,
        xticks=range(len(rules)),
    )
    labels = [rule.replace("_", " ") for rule in rules]
    axes.set_xticklabels(labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    handles = [
        Patch(facecolor=color, edgecolor="#999999", label=f"{sign}  {verdict}")
        for verdict, (color, sign) in HEALTH_LOOKS.items()
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return axes


def draw_lines(
    frame: pd.DataFrame,
    axes: Axes,
    x: str,
    y: str,
    variants: dict[str, Look],
    scale: str = "linear",
) -> Axes:
    """Draw y against x, a line with its own look per variant."""
    axes.set_yscale(scale)
    for name, look in variants.items():
        rows = frame[frame["variant"] == name].sort_values(x)
        every = max(1, len(rows) // MARKS)
        axes.plot(rows[x], rows[y], label=name, markevery=every, **look._asdict())
    for name, look in variants.items():
        rows = frame[frame["variant"] == name].sort_values(x)
        mark_lost(axes, rows[x], rows[y], look.color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def draw_attenuation(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw the attenuation against the depth: theory a line, measurements points with intervals."""
    axes.axhline(1, color="#999999", linewidth=0.8)
    axes.plot(frame["depth"], frame["predicted"], color=PALETTE[5], label="theory")
    below, above = frame["measured"] - frame["low"], frame["high"] - frame["measured"]
    axes.errorbar(
        frame["depth"],
        frame["measured"],
        yerr=(below.fillna(0), above.fillna(0)),
        fmt="o",
        color=PALETTE[4],
        capsize=2.5,
        label="measured",
    )
    axes.set_yscale("log")
    mark_lost(axes, frame["depth"], frame["measured"], PALETTE[4])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def draw_gradient_trace(frame: pd.DataFrame, axes: Axes, norm: Normalize) -> Axes:
    """Draw log10 ‖dL/dW‖ as a heat map, steps to the right, layers upwards from the input."""
    image = trace_image(frame)
    last_step = int(frame["step"].max())
    layers = image.shape[0]
    axes.imshow(
        image,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        norm=norm,
        cmap=mpl.colormaps["viridis"].with_extremes(bad="#bbbbbb"),
        extent=(0, last_step, -0.5, layers - 0.5),
    )
    axes.grid(visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def trace_image(frame: pd.DataFrame) -> np.ndarray:
    """Lay the trace out as (layers, steps); what is not finite is masked."""
    wide = frame.pivot_table(index="layer_index", columns="step", values="log10_norm", dropna=False)
    return np.ma.masked_invalid(wide.to_numpy())
