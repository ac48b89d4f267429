"""Panels: each function draws a frame into Axes and returns these; nothing is computed."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from vanishing.params.answers import LEARNING
from vanishing.reporting.style import (
    COLORMAP,
    DENSITY_COLORMAP,
    LEARNING_STYLES,
    MEASURED,
    MINUS,
    MISSING,
    MOST_MARKS,
    REFERENCE,
    RULE_STYLES,
    THEORY,
    LineStyle,
    mark_off_scale,
    note_layers,
)


def draw_lines(
    frame: pd.DataFrame,
    axes: Axes,
    x: str,
    y: str,
    styles: dict[str, LineStyle],
    by: str = "variant",
) -> Axes:
    """Draw column y against column x, a line per name that has rows.

    Args:
        frame: Columns x, y and `by`.
        axes: To draw in; their scale is set already, since it decides which values have a place.
        x: Name of a column.
        y: Name of a column.
        styles: {name: style}; the names are values of the column `by`.
        by: The column that tells the lines apart.

    Returns:
        The axes.
    """
    lines = {name: frame[frame[by] == name].sort_values(x) for name in styles}
    lines = {name: rows for name, rows in lines.items() if len(rows)}
    for name, rows in lines.items():
        marker_distance = max(1, len(rows) // MOST_MARKS)
        style = styles[name]._asdict()
        axes.plot(rows[x], rows[y], label=name, markevery=marker_distance, **style)
    for name, rows in lines.items():
        mark_off_scale(axes, rows[x], rows[y], styles[name].color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def draw_gradient_histogram(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw counts of dL/dW in equal bins on a logarithmic axis."""
    axes.bar(
        frame["bin_left"],
        frame["count"],
        width=frame["bin_right"] - frame["bin_left"],
        align="edge",
        color=MEASURED,
    )
    axes.set(xlim=(-1, 1), yscale="log", ylim=(0.5, None), xlabel="dL/dW")
    return axes


def draw_gradient_distributions(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw the share of |dL/dW| per power of two, a line per layer, coloured by its index."""
    for index, rows in frame.groupby("layer_index"):
        ordered = rows.sort_values("log10_left")
        middle = (ordered["log10_left"] + ordered["log10_right"]) / 2
        axes.plot(middle, ordered["share"], color=colors[int(str(index))], label=str(index))
    bins = frame.groupby("layer_index")["share"].count()
    note_layers(axes, list(bins[bins == 0].index), "zero or not finite")
    return axes


def draw_activation_quantiles(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw φ(z) per layer: 1 to 99 % thin, 5 to 95 % thicker, quartiles thick, median a dot."""
    for low, high, width in (("q01", "q99", 0.8), ("q05", "q95", 2.2), ("q25", "q75", 5)):
        axes.vlines(
            frame["layer_index"],
            frame[low],
            frame[high],
            colors=[colors[index] for index in frame["layer_index"]],
            linewidth=width,
        )
    axes.plot(frame["layer_index"], frame["q50"], "o", color="white", mec="black", ms=3.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlim=(-0.6, frame["layer_index"].max() + 0.6))
    not_finite = ~np.isfinite(frame[["q01", "q99"]].to_numpy()).all(axis=1)
    note_layers(axes, list(frame["layer_index"][not_finite]), "not finite")
    return axes


def draw_activation_distributions(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw the share of φ(z) per bin, a line per layer, over the bins that are not empty."""
    for index, rows in frame.groupby("layer_index"):
        edges = [*rows["bin_left"], rows["bin_right"].iloc[-1]]
        color = colors[int(str(index))]
        axes.stairs(rows["share"], edges, color=color, linewidth=1.1, label=str(index))
    filled = frame[frame["share"] > 0]
    if len(filled):
        axes.set_xlim(filled["bin_left"].min(), filled["bin_right"].max())
    within = frame.groupby("layer_index")["share"].sum()
    note_layers(axes, list(within[within == 0].index), "none between -1 and 1")
    return axes


def draw_attenuation_by_variant(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw a point with its interval per variant, and a mark for theory, from the top down."""
    rows = np.arange(len(frame))[::-1]
    axes.axvline(1, color=REFERENCE, linewidth=0.8)
    axes.scatter(
        frame["predicted"], rows, marker="|", s=160, color=THEORY, label="theory", zorder=3
    )
    below, above = frame["measured"] - frame["low"], frame["high"] - frame["measured"]
    axes.errorbar(
        frame["measured"],
        rows,
        xerr=(below.fillna(0), above.fillna(0)),
        fmt="o",
        color=MEASURED,
        capsize=2.5,
        label="measured, with 95 % interval",
    )
    axes.set(xscale="log", yticks=rows, yticklabels=frame["variant"])
    mark_off_scale(axes, pd.Series(rows, frame.index), frame["measured"], MEASURED, "x")
    return axes


def draw_attenuation_by_depth(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw the attenuation against the depth: theory a line, measurements points with intervals."""
    axes.axhline(1, color=REFERENCE, linewidth=0.8)
    axes.plot(frame["depth"], frame["predicted"], color=THEORY, label="theory")
    below, above = frame["measured"] - frame["low"], frame["high"] - frame["measured"]
    axes.errorbar(
        frame["depth"],
        frame["measured"],
        yerr=(below.fillna(0), above.fillna(0)),
        fmt="o",
        color=MEASURED,
        capsize=2.5,
        label="measured",
    )
    axes.set_yscale("log")
    mark_off_scale(axes, frame["depth"], frame["measured"], MEASURED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return axes


def draw_saturation(frame: pd.DataFrame, axes: Axes, colors: list[Any]) -> Axes:
    """Draw a share against the epoch, a line per layer."""
    for index, rows in frame.groupby("layer_index"):
        axes.plot(
            rows["epoch"], rows["share"], "o-", color=colors[int(str(index))], label=str(index)
        )
    axes.set(ylim=(-0.03, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def draw_health_matrix(frame: pd.DataFrame, axes: Axes) -> Axes:
    """Draw a cell per variant and rule, its verdict as a colour and as a sign; learning first."""
    variants, rules = list(frame["variant"].unique()), list(frame["rule"].unique())
    styles = LEARNING_STYLES | RULE_STYLES
    for row in frame.itertuples():
        x, y = rules.index(str(row.rule)), variants.index(str(row.variant))
        color, sign = styles[str(row.mark)]
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
    if LEARNING in rules:  # the answer stands apart from what rules say
        axes.axvline(rules.index(LEARNING) + 0.5, color="black", linewidth=1.5)
    handles = [
        Patch(facecolor=color, edgecolor=REFERENCE, label=f"{sign}  {mark}")
        for mark, (color, sign) in [*LEARNING_STYLES.items(), *RULE_STYLES.items()]
    ]
    # Columns of three: of learning, problems of rules by kind, and no problem.
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
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
        cmap=colormaps[COLORMAP].with_extremes(bad=MISSING),
        extent=(0, last_step, -0.5, layers - 0.5),
    )
    axes.grid(visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def trace_image(frame: pd.DataFrame) -> np.ndarray:
    """Lay the trace out as (layers, steps); values that are missing or not finite are masked."""
    wide = frame.pivot_table(index="layer_index", columns="step", values="log10_norm", dropna=False)
    wide = wide.reindex(range(int(frame["layer_index"].max()) + 1))
    return np.ma.masked_invalid(wide.to_numpy())


class MagnitudeScale(NamedTuple):
    """The y axis that the panels of gradient magnitudes share.

    Attributes:
        low: The lowest log10 |dL/dW| that is shown.
        high: The highest.
    """

    low: float
    high: float

    @property
    def zero(self) -> tuple[float, float]:
        """The lower and upper edge of the row of zeros, below the magnitudes."""
        height = self._height
        return self.low - 2 * height, self.low - height

    @property
    def not_finite(self) -> tuple[float, float]:
        """The lower and upper edge of the row of NaN and infinities, above the magnitudes."""
        height = self._height
        return self.high + height, self.high + 2 * height

    @property
    def _height(self) -> float:
        return (self.high - self.low) / 20


def draw_gradient_magnitudes(
    frame: pd.DataFrame, axes: Axes, scale: MagnitudeScale, norm: Normalize
) -> Axes:
    """Draw the share of |dL/dW| per power of two as a heat map, steps to the right.

    Zeros have a row of their own below, NaN and infinities one above.

    Args:
        frame: Of one variant, as `plot_data.gradient_magnitudes` returns it.
        axes: To draw in.
        scale: The y axis.
        norm: The colours of shares.

    Returns:
        The axes.
    """
    zero, not_finite = frame["log10_left"] == -np.inf, frame["log10_left"].isna()
    rows = frame.assign(
        low=frame["log10_left"].mask(zero, scale.zero[0]).mask(not_finite, scale.not_finite[0]),
        high=frame["log10_right"].mask(zero, scale.zero[1]).mask(not_finite, scale.not_finite[1]),
    )
    axes.pcolormesh(*magnitude_image(rows), norm=norm, cmap=DENSITY_COLORMAP)
    ticks = MaxNLocator(nbins=5, integer=True).tick_values(scale.low, scale.high)
    decades = [tick for tick in ticks if scale.low <= tick <= scale.high]
    axes.set_yticks(
        [sum(scale.zero) / 2, *decades, sum(scale.not_finite) / 2],
        ["zero", *(f"{decade:.0f}".replace("-", MINUS) for decade in decades), "not finite"],
    )
    axes.set_ylim(scale.zero[0], scale.not_finite[1])
    axes.grid(visible=False)
    return axes


def magnitude_image(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay shares out as an image with the edges of its cells; a cell without a row is NaN.

    Args:
        rows: Columns step, share, and low and high, between which the share lies.

    Returns:
        Edges along x, (steps + 1,): half-way between steps, and the first and the last step; edges
        along y, (cells + 1,); shares, (cells, steps).
    """
    steps = np.unique(rows["step"])
    middles = (steps[:-1] + steps[1:]) / 2
    x = np.array([steps[0], *middles, steps[-1]], dtype=float)
    if len(steps) == 1:
        x += (-0.5, 0.5)
    y = np.unique(rows[["low", "high"]])
    shares = np.full((len(y) - 1, len(steps)), np.nan)
    shares[np.searchsorted(y, rows["low"]), np.searchsorted(steps, rows["step"])] = rows["share"]
    return x, y, shares
