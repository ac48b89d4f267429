"""The figure of the table of factors: a stacked bar per hop, from the loss to the input."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vanishing.reporting.layout import WIDTH
from vanishing.reporting.style import PALETTE, REFERENCE
from vanishing.results.factors import (
    ACTIVATION,
    ATTENTION,
    JOIN,
    NORMALISATION,
    RECURRENT,
    WEIGHTS,
)

_COLORS = dict(
    zip(
        (WEIGHTS, ACTIVATION, NORMALISATION, JOIN, RECURRENT, ATTENTION),
        (PALETTE[4], PALETTE[1], PALETTE[3], PALETTE[6], PALETTE[2], PALETTE[5]),
        strict=True,
    )
)
_HATCHES = {ACTIVATION: "////", NORMALISATION: "....", JOIN: "xxxx"}
_OTHER = "other operations"
_MOST_HOPS = 40  # with a name; of more every second, third, …
_NAME = 16  # characters
_COLUMNS = 3  # of panels
_CHARACTERS = 100  # that fit side by side under the axis


def draw(table: pd.DataFrame) -> Figure:
    """Draw the decades of each hop by kind, and their running sum.

    Args:
        table: The factors, with the columns of `results.factors.FACTORS`. Rows without a finite
            number of decades are left out.

    Returns:
        The figure.
    """
    rows = table[(table["within"] == 0) & np.isfinite(table["decades"])]
    decades = _by_hop(table)
    order = list(map(str, decades))
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    draw_bars(decades, axes)
    places = np.arange(len(decades))
    total = decades.sum(axis=1).cumsum()
    axes.plot(places, total, color=PALETTE[0], marker="o", label="sum so far", zorder=3)
    _name_hops(axes, rows, len(decades))
    axes.set_xlabel("hop, from the loss (left) to the input (right)")
    axes.set_ylabel("decades: log₁₀ of the gain")
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(
        [*_patches(order), *lines], [*order, *labels], loc="outside upper center", ncols=5
    )
    return figure


def draw_variants(factors: pd.DataFrame, moment: str) -> Figure:
    """Draw the decades of each hop by kind at the first moment, a panel per variant or run.

    Args:
        factors: Of several trainings with one seed each, told apart by `variant`.
        moment: The column by which moments are told apart: `epoch` or `step`.

    Returns:
        The figure. All panels have one scale.
    """
    first = factors.groupby("variant")[moment].transform("min")
    rows = factors[factors[moment] == first]
    tables = {str(name): _by_hop(table) for name, table in rows.groupby("variant", sort=False)}
    height = -(-len(tables) // _COLUMNS)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.7 * height), layout="constrained")
    grid = figure.subplots(height, _COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, (name, decades) in zip(grid, tables.items(), strict=False):
        draw_bars(decades, axes)
        axes.set_title(name)
        axes.set_xticks([0, len(decades) - 1], ["1", str(len(decades))])
        axes.grid(visible=False, axis="x")
    for axes in grid[len(tables) :]:
        axes.remove()
    kinds = [k for k in [*_COLORS, _OTHER] if any(k in table for table in tables.values())]
    figure.legend(_patches(kinds), kinds, loc="outside upper center", ncols=len(kinds))
    figure.supxlabel("hop, from the loss (left) to the input (right)")
    figure.supylabel("decades: log₁₀ of the gain")
    return figure


def _patches(kinds: Iterable[str]) -> list[Patch]:
    """Return the legend's patch of each kind."""
    return [Patch(facecolor=_color(k), hatch=_HATCHES.get(k), edgecolor="white") for k in kinds]


def _by_hop(table: pd.DataFrame) -> pd.DataFrame:
    """Return the decades of the chain, a row per hop and a column per kind."""
    rows = table[(table["within"] == 0) & np.isfinite(table["decades"])]
    kinds = rows["kind"].where(rows["kind"].isin(_COLORS), _OTHER)
    decades = rows.groupby(["hop", kinds], sort=False)["decades"].sum().unstack(fill_value=0.0)
    ordered: pd.DataFrame = decades[[kind for kind in [*_COLORS, _OTHER] if kind in decades]]
    return ordered


def draw_bars(decades: pd.DataFrame, axes: Axes) -> None:
    """Stack losses below 0 and gains above it.

    Args:
        decades: A row per hop, a column per kind.
        axes: Where to draw.
    """
    places = np.arange(len(decades))
    below, above = np.zeros(len(decades)), np.zeros(len(decades))
    for kind in decades:
        values = decades[kind].to_numpy()
        bottoms = np.where(values < 0, below, above)
        axes.bar(
            places,
            values,
            bottom=bottoms,
            color=_color(str(kind)),
            hatch=_HATCHES.get(str(kind)),
            edgecolor="white",
            linewidth=0.5,
        )
        below += np.minimum(values, 0)
        above += np.maximum(values, 0)
    axes.axhline(0, color=REFERENCE, linewidth=0.8)


def _color(kind: str) -> str:
    return _COLORS.get(kind, REFERENCE)


def _name_hops(axes: Axes, rows: pd.DataFrame, count: int) -> None:
    ends = rows.groupby("hop", sort=False)[["later", "earlier"]].first()
    names = [f"{_short(later)} → {_short(earlier)}" for later, earlier in ends.to_numpy()]
    every = -(-count // _MOST_HOPS)
    upright = max(map(len, names), default=0) * count <= _CHARACTERS
    axes.set_xticks(
        range(0, count, every),
        names[::every],
        rotation=0 if upright else 40,
        ha="center" if upright else "right",
        rotation_mode="anchor",
    )
    axes.grid(visible=False, axis="x")


def _short(name: str) -> str:
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]
