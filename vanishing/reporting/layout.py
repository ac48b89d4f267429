"""How panels, legends and labels stand in a figure."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vanishing.reporting.style import layer_colors

WIDTH = 8.3  # inches: at 200 dots per inch twice the width of a pull request page
COLUMNS = 3


def draw_grid(
    frame: pd.DataFrame,
    names: list[str],
    draw: Callable[[pd.DataFrame, Axes], Axes],
    labels: tuple[str, str],
    sharex: bool = True,
    sharey: bool = True,
) -> Figure:
    """Draw a panel per variant that has rows, three in a row.

    Args:
        frame: With a column variant.
        names: The variants, in the order of their panels.
        draw: Draws the rows of one variant into Axes.
        labels: Of the x axes and of the y axes, written once.
        sharex: Whether all panels have the same x axis.
        sharey: Whether all panels have the same y axis.

    Returns:
        The figure.
    """
    names = [name for name in names if (frame["variant"] == name).any()]
    if not names:
        return _without_data()
    rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, sharex=sharex, sharey=sharey, squeeze=False).flatten()
    for name, axes in zip(names, grid, strict=False):
        draw(frame[frame["variant"] == name], axes)
        axes.set_title(name)
        axes.tick_params(labelbottom=True)
    for axes in grid[len(names) :]:
        axes.remove()
    figure.supxlabel(labels[0], fontsize=8)
    figure.supylabel(labels[1], fontsize=8)
    return figure


def add_layer_legend(figure: Figure, colors: list[Any], title: str, marker: str = "None") -> None:
    """Add a legend above the panels, an entry per layer."""
    lines = [Line2D([], [], color=c, marker=marker, label=str(i)) for i, c in enumerate(colors)]
    figure.legend(handles=lines, title=title, loc="outside upper center", ncols=12)


def add_legend_above(figure: Figure) -> None:
    """Add a legend above the panels, an entry per label."""
    figure.legend(*labelled_artists(figure), loc="outside upper center", ncols=4)


def add_legend_below(figure: Figure) -> None:
    """Add a legend below the panels, an entry per label."""
    figure.legend(*labelled_artists(figure), loc="outside lower center", ncols=5, handlelength=3)


def labelled_artists(figure: Figure) -> tuple[list[Any], list[str]]:
    """Return the artists with a label in any of the figure's axes, one per label, and the labels.

    Returns:
        As `Figure.legend` takes them.
    """
    artists: dict[str, Any] = {}
    for axes in figure.axes:
        for artist, label in zip(*axes.get_legend_handles_labels(), strict=True):
            artists.setdefault(label, artist)
    return list(artists.values()), list(artists)


def _without_data() -> Figure:
    figure = Figure(figsize=(WIDTH, 1), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    say_not_recorded(axes)
    return figure


def colors_of(frame: pd.DataFrame) -> list[Any]:
    """Return a colour per layer, by the column `layer_index`; none without rows."""
    return layer_colors(frame["layer_index"].max() + 1) if len(frame) else []


def say_not_recorded(axes: Axes) -> None:
    """Write into a panel without data that there are none."""
    axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center")


def finite_range(values: pd.Series) -> Normalize:
    """Return a colour scale from the smallest to the largest finite value."""
    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if len(finite) else Normalize()


def describe_epoch(epoch: int) -> str:
    """Say in words when a snapshot was taken."""
    if epoch == 0:
        return "at initialisation"
    return f"after {epoch} epoch{'s' if epoch > 1 else ''}"
