"""The one figure of a comparison: curves before (dashed) and after (solid) in the same axes."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vanishing.reporting.layout import WIDTH, describe_epoch
from vanishing.reporting.style import PALETTE, mark_off_scale

MOST = len(PALETTE)  # variants; more colours could not be told apart
DASHES = {"before": "--", "after": "-"}


class Curves(NamedTuple):
    """The data of DVC's plots, of one side.

    Attributes:
        history: Columns variant, epoch, train_loss, test_accuracy.
        gradients: Columns variant, epoch, layer_index, rms.
    """

    history: pd.DataFrame
    gradients: pd.DataFrame


def draw_before_and_after(before: Curves, after: Curves, names: Sequence[str]) -> Figure:
    """Draw gradient decay, training loss and test accuracy of some variants.

    Args:
        before: Rows of a variant that was not there are missing.
        after: The same, afterwards.
        names: The variants to draw, MOST at the most; each has a colour.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    first, last, loss, accuracy = figure.subplots(2, 2).flatten()
    last.sharey(first)
    colors = dict(zip(names, PALETTE, strict=False))
    histories = before.history, after.history
    for axes, is_first in ((first, True), (last, False)):
        sides = [_snapshot(side.gradients, is_first) for side in (before, after)]
        axes.set_yscale("log")
        _draw(sides, axes, "layer_index", "rms", colors)
        axes.set(xlabel="weight layer, from the input", ylabel="rms of dL/dz per example")
        axes.set_title(_title(sides))
    loss.set_yscale("log")
    _draw(histories, loss, "epoch", "train_loss", colors)
    _draw(histories, accuracy, "epoch", "test_accuracy", colors)
    loss.set(xlabel="epoch", ylabel="training loss (nats, log scale)")
    accuracy.set(xlabel="epoch", ylabel="test accuracy")
    handles = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
    handles += [Line2D([], [], color="grey", ls=ls, label=side) for side, ls in DASHES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=3)
    return figure


def _snapshot(gradients: pd.DataFrame, is_first: bool) -> pd.DataFrame:
    """Return the rows of the first or of the last snapshot."""
    epochs = gradients["epoch"]
    return pd.DataFrame(gradients[epochs == (epochs.min() if is_first else epochs.max())])


def _title(sides: Sequence[pd.DataFrame]) -> str:
    """Say when the snapshots were taken, of both sides where it is not the same."""
    moments = [describe_epoch(int(side["epoch"].iloc[0])) for side in sides if len(side)]
    return ", then ".join(dict.fromkeys(moments))


def _draw(
    sides: Sequence[pd.DataFrame], axes: Axes, x: str, y: str, colors: dict[str, str]
) -> None:
    """Draw a line per side and variant; a line of the second side covers an equal one."""
    for side, (label, dashes) in zip(sides, DASHES.items(), strict=True):
        for name, color in colors.items():
            rows = side[side["variant"] == name].sort_values(x)
            axes.plot(rows[x], rows[y], color=color, linestyle=dashes, label=f"{name} {label}")
            mark_off_scale(axes, rows[x], rows[y], color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
