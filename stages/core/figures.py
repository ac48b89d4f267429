"""How each figure is drawn: a frame and an Axes in, the Axes out, nothing computed."""

from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

# Okabe & Ito's palette, told apart with every common colour blindness (jfly.uni-koeln.de/color),
# without its yellow, which is too pale for a line.
PALETTE = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
LINES = ("-", "--", ":", "-.")
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
    return axes


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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlim=(-0.6, frame["layer_index"].max() + 0.6))
    return axes


def draw_lines(frame: pd.DataFrame, axes: Axes, x: str, y: str, variants: dict[str, Look]) -> Axes:
    """Draw y against x, a line with its own look per variant."""
    for name, look in variants.items():
        rows = frame[frame["variant"] == name].sort_values(x)
        axes.plot(rows[x], rows[y], label=name, markevery=1, **look._asdict())
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
