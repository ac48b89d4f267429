"""Draw the figures: `python -m stages.render`.

In: params.yaml (`variants`), every variant's history, trace and statistics. Out:
reports/figures/*.png, the same bytes for the same numbers.
"""

import argparse
import math
import sys
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stages.core import figures, frames, params, results
from stages.core.errors import run_command
from stages.core.files import REPORTS, replacing

FOLDER = REPORTS / "figures"
WIDTH = 8.3  # inches: at 200 dots per inch twice the width of a pull request page
COLUMNS = 3


def main(argv: list[str]) -> None:
    """Draw every figure."""
    argparse.ArgumentParser(prog="python -m stages.render", description=__doc__).parse_args(argv)
    settings = params.load()
    names = list(settings.variants)
    histograms, layers = results.histograms(names), results.layers(names)
    with mpl.rc_context(figures.STYLE):
        baseline = histograms[histograms["variant"] == settings.baseline]
        drawn = {
            "gradient-histogram": gradient_histogram(baseline),
            "gradient-distributions": gradient_distributions(histograms, names),
            "activation-distributions": activation_distributions(layers, names),
            "gradient-decay": gradient_decay(layers, names),
            "attenuation-by-depth": attenuation_by_depth(results.theory(names), names),
            "learning-curves": learning_curves(results.history(names), names),
            "gradient-trace": gradient_trace(results.trace(names), names),
        }
        for name, figure in drawn.items():
            with replacing(FOLDER / f"{name}.png") as path:
                figure.savefig(path, format="png", metadata={"Software": None})


def gradient_histogram(histograms: pd.DataFrame) -> Figure:
    """Draw the article's histogram of the baseline, a panel per snapshot."""
    frame = frames.gradient_histogram(histograms)
    epochs = list(frame["epoch"].unique())
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    row = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    for axes, epoch in zip(row, epochs, strict=True):
        figures.draw_gradient_histogram(frame[frame["epoch"] == epoch], axes)
        axes.set_title(moment(epoch))
    row[0].set_ylabel("weights, all layers")
    return figure


def gradient_distributions(histograms: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the distribution of |dL/dW| per layer at initialisation, a panel per variant."""
    frame = frames.gradient_distributions(histograms)
    colors = figures.layer_colors(frame["layer_index"].max() + 1)
    figure = _grid(
        frame,
        names,
        lambda rows, axes: figures.draw_gradient_distributions(rows, axes, colors),
        ("log10 |dL/dW|", "share of weights per factor of 2"),
    )
    lines = [Line2D([], [], color=color, label=str(i)) for i, color in enumerate(colors)]
    figure.legend(
        handles=lines, title="weight layer, from the input", loc="outside upper center", ncols=12
    )
    for axes in figure.axes:
        axes.set_ylim(bottom=0)
    return figure


def activation_distributions(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the distribution of φ(z) per layer at initialisation, a panel per variant."""
    frame = frames.activation_quantiles(layers)
    colors = figures.layer_colors(frame["layer_index"].max() + 1)
    return _grid(
        frame,
        names,
        lambda rows, axes: figures.draw_activation_quantiles(rows, axes, colors),
        ("hidden layer, from the input", "activation φ(z)"),
        sharey=False,
    )


def gradient_decay(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw rms(dL/dz) against the layer, at initialisation and at the end."""
    frame = frames.gradient_decay(layers)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    epochs = list(frame["epoch"].unique())
    row = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    for axes, epoch in zip(row, epochs, strict=True):
        rows = frame[frame["epoch"] == epoch]
        figures.draw_lines(rows, axes, "layer_index", "rms", figures.looks(names))
        axes.set(title=moment(epoch), yscale="log", xlabel="weight layer, from the input")
    row[0].set_ylabel("rms of dL/dz per example")
    _legend_below(figure, row[0])
    return figure


def attenuation_by_depth(theory: pd.DataFrame, names: list[str]) -> Figure:
    """Draw theory and measurement of the attenuation against the depth, a panel per variant."""
    figure = _grid(
        frames.attenuation_by_depth(theory),
        names,
        figures.draw_attenuation,
        ("hidden layers", "attenuation at initialisation"),
    )
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def learning_curves(history: pd.DataFrame, names: list[str]) -> Figure:
    """Draw training loss and test accuracy against the epoch."""
    frame = frames.learning_curves(history)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    row = figure.subplots(1, 2)
    for axes, column in zip(row, ("train_loss", "test_accuracy"), strict=True):
        figures.draw_lines(frame, axes, "epoch", column, figures.looks(names))
    row[0].set(xlabel="epoch", ylabel="training loss (nats, log scale)", yscale="log")
    row[1].set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1.02))
    _legend_below(figure, row[0])
    return figure


def gradient_trace(trace: pd.DataFrame, names: list[str]) -> Figure:
    """Draw ‖dL/dW‖ by layer and step as a heat map, a panel per variant, one colour scale."""
    frame = frames.gradient_trace(trace)
    finite = frame.loc[np.isfinite(frame["log10_norm"]), "log10_norm"]
    norm = Normalize(finite.min(), finite.max())
    figure = _grid(
        frame,
        names,
        lambda rows, axes: figures.draw_gradient_trace(rows, axes, norm),
        ("step", "weight layer, from the input"),
        sharex=False,
        sharey=False,
    )
    figure.colorbar(
        ScalarMappable(norm, "viridis"),
        ax=figure.axes,
        label="log10 ‖dL/dW‖",
        aspect=40,
        pad=0.02,
    )
    return figure


def moment(epoch: int) -> str:
    """Say in words when a snapshot was taken."""
    if epoch == 0:
        return "at initialisation"
    return f"after {epoch} epoch{'s' if epoch > 1 else ''}"


def _grid(
    frame: pd.DataFrame,
    names: list[str],
    draw: Callable[[pd.DataFrame, Axes], Axes],
    labels: tuple[str, str],
    sharex: bool = True,
    sharey: bool = True,
) -> Figure:
    """Draw a panel per variant, three in a row, with common axis labels."""
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


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=3)


if __name__ == "__main__":
    sys.exit(run_command(main))
