"""What matplotlib drew, by label: tests of drawings read it here and nowhere else."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

Points = list[tuple[float, float]]


def lines(axes: Axes) -> dict[str, Points]:
    """Return {label: points} of the lines that have a label."""
    drawn = {
        str(line.get_label()): _pairs(line.get_xdata(), line.get_ydata()) for line in axes.lines
    }
    return {label: points for label, points in drawn.items() if not label.startswith("_")}


def points(axes: Axes) -> dict[str, Points]:
    """Return {label: points} of scattered points, and of points with error bars."""
    drawn = {}
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            line = container.lines[0]
            drawn[str(container.get_label())] = _pairs(line.get_xdata(), line.get_ydata())
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            offsets = np.asarray(collection.get_offsets(), dtype=float)
            drawn[str(collection.get_label())] = _pairs(offsets[:, 0], offsets[:, 1])
    return drawn


def intervals(axes: Axes) -> dict[str, list[Points]]:
    """Return {label: both ends of each error bar}."""
    return {
        str(container.get_label()): [
            [(float(x), float(y)) for x, y in segment]
            for collection in container.lines[2]
            for segment in collection.get_segments()
        ]
        for container in axes.containers
        if isinstance(container, ErrorbarContainer)
    }


def bars(axes: Axes) -> list[tuple[float, float, float]]:
    """Return (left, width, height) of each bar."""
    return [
        (patch.get_x(), patch.get_width(), patch.get_height())
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    ]


def stairs(axes: Axes) -> dict[str, list[float]]:
    """Return {label: values} of step lines."""
    return {
        str(patch.get_label()): list(patch.get_data()[0])
        for patch in axes.patches
        if isinstance(patch, StepPatch)
    }


def texts(axes: Axes) -> list[str]:
    """Return the texts that were written into the axes."""
    return [text.get_text() for text in axes.texts]


def cells(axes: Axes) -> dict[tuple[int, int], str]:
    """Return {(column, row): text} of the texts that stand at whole numbers."""
    positions = [(text.get_position(), text.get_text()) for text in axes.texts]
    return {(round(x), round(y)): text for (x, y), text in positions}


def heat_map(axes: Axes) -> dict[tuple[float, float], float]:
    """Return {the middle of a cell: its value} of the cells that are not empty."""
    (mesh,) = [item for item in axes.collections if isinstance(item, QuadMesh)]
    corners = np.asarray(mesh.get_coordinates())  # (rows + 1, columns + 1, 2)
    middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    values: Any = np.ma.masked_invalid(np.ma.asarray(mesh.get_array()))
    return {
        (float(x), float(y)): float(value)
        for (x, y), value, empty in zip(
            middles.reshape(-1, 2),
            values.data.ravel(),
            np.ma.getmaskarray(values).ravel(),
            strict=True,
        )
        if not empty
    }


def tick_labels(axes: Axes, axis: str) -> dict[float, str]:
    """Return {position: label} of the ticks of the x or the y axis."""
    ticks = axes.get_xticks() if axis == "x" else axes.get_yticks()
    labels = axes.get_xticklabels() if axis == "x" else axes.get_yticklabels()
    return {float(x): label.get_text() for x, label in zip(ticks, labels, strict=True)}


def legend(figure: Figure) -> list[str]:
    """Return the labels in the figure's legends."""
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def titles(figure: Figure) -> list[str]:
    """Return the titles of the panels."""
    return [title for axes in figure.axes if (title := axes.get_title())]


def _pairs(x: Any, y: Any) -> Points:
    return [(float(a), float(b)) for a, b in zip(np.asarray(x), np.asarray(y), strict=True)]
