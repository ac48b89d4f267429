"""The figures that set variants side by side, each from whole tables; `comparisons` names all."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from vanishing import paths
from vanishing.files import replacing
from vanishing.judging.verdicts import Row
from vanishing.params.study import Study
from vanishing.reporting import panels, plot_data
from vanishing.reporting.layout import (
    WIDTH,
    add_layer_legend,
    add_legend_above,
    add_legend_below,
    colors_of,
    describe_epoch,
    draw_grid,
    finite_range,
)
from vanishing.reporting.selection import Metrics, xavier_pairs
from vanishing.reporting.style import COLORMAP, DENSITY_COLORMAP, REFERENCE, STYLE, line_styles
from vanishing.results.tables import select_weight_gradients

# The tables that the figures show.
TABLES = ("history", "trace", "trace_histograms", "layers", "histograms", "theory")

Tables = Mapping[str, pd.DataFrame]
Drawer = Callable[[], Figure]


def save(draw: Drawer, path: Path) -> None:
    """Draw a figure in the house style and write it as PNG: the same bytes for the same numbers."""
    with mpl.rc_context(), replacing(path) as temporary:
        mpl.rcdefaults()  # the user may have a style
        mpl.rcParams.update(STYLE)
        draw().savefig(temporary, format="png", metadata={"Software": None})


def comparisons(
    settings: Study, metrics: Metrics, checks: list[Row], tables: Tables, names: list[str]
) -> dict[Path, Drawer]:
    """Return what draws each figure that sets variants side by side, by the figure's path.

    A recorded run is in the figures of which it has the tables, and in no other.

    Args:
        settings: Of the study.
        metrics: As in reports/metrics.json.
        checks: As in reports/health.json.
        tables: {table: frame}, for each of TABLES, of the variants in `names`.
        names: The variants to show, as `selection.choose_variants` chooses them.

    Returns:
        {path: function that draws the figure}, for `save`.
    """
    histograms, layers, history = tables["histograms"], tables["layers"], tables["history"]
    baseline = histograms[histograms["variant"] == settings.baseline]
    shown_checks = [row for row in checks if row["variant"] in names]
    fresh = {name: metrics[name] for name in names if name in settings.trained}
    drawers = {
        "gradient-histogram": partial(gradient_histogram, baseline),
        "gradient-distributions": partial(gradient_distributions, histograms, names),
        "activation-distributions": partial(activation_distributions, layers, names),
        "gradient-decay": partial(gradient_decay, layers, names),
        "attenuation-by-variant": partial(attenuation_by_variant, fresh),
        "learning-curves": partial(learning_curves, history, names),
        "generalization-gap": partial(generalization_gap, history, names),
        "gradient-trace": partial(gradient_trace, tables["trace"], names),
        "gradient-magnitudes-over-training": partial(
            gradient_magnitudes, tables["trace_histograms"], names
        ),
        "saturation": partial(saturation, layers, names),
        "health": partial(health_matrix, shown_checks),
    }
    if tables["theory"].groupby("variant")["depth"].nunique().gt(1).any():
        drawers["attenuation-by-depth"] = partial(attenuation_by_depth, tables["theory"], names)
    if len(plot_data.gradient_through_time(layers)):
        drawers["gradient-through-time"] = partial(gradient_through_time, layers, names)
    if len(plot_data.gradient_along_stream(layers)):
        drawers["gradient-along-stream"] = partial(gradient_along_stream, layers, names)
    pairs = xavier_pairs(settings, names)
    if pairs:
        drawers["standard-and-xavier"] = partial(standard_and_xavier, histograms, pairs)
    return {paths.figure(name): draw for name, draw in drawers.items()}


def gradient_histogram(histograms: pd.DataFrame) -> Figure:
    """Draw the article's histogram of one variant, a panel per snapshot."""
    frame = plot_data.gradient_histogram(histograms)
    epochs = list(frame["epoch"].unique())
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    row = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    for axes, epoch in zip(row, epochs, strict=True):
        panels.draw_gradient_histogram(frame[frame["epoch"] == epoch], axes)
        axes.set_title(describe_epoch(epoch))
    row[0].set_ylabel("weights, all layers")
    return figure


def gradient_distributions(histograms: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the distribution of |dL/dW| per layer at initialisation, a panel per variant."""
    frame = plot_data.gradient_distributions(select_weight_gradients(histograms))
    colors = colors_of(frame)
    figure = draw_grid(
        frame,
        names,
        partial(panels.draw_gradient_distributions, colors=colors),
        ("log10 |dL/dW|", "share of weights per factor of 2"),
    )
    add_layer_legend(figure, colors, "weight layer, from the input")
    for axes in figure.axes:
        axes.set_ylim(bottom=0)
    return figure


def activation_distributions(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the distribution of φ(z) per layer at initialisation, a panel per variant."""
    frame = plot_data.activation_quantiles(layers)
    colors = colors_of(frame)
    return draw_grid(
        frame,
        names,
        partial(panels.draw_activation_quantiles, colors=colors),
        ("hidden layer, from the input", "activation φ(z)"),
        sharey=False,
    )


def gradient_decay(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw rms(dL/dz) against the layer, at initialisation and at the end."""
    frame = plot_data.gradient_decay(layers)
    axes_labels = "weight layer, from the input", "rms of dL/dz per example"
    return _at_start_and_end(frame, names, "layer_index", axes_labels)


def gradient_through_time(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw rms(dL/dh_t) of the first recurrent layer against t, at the start and at the end."""
    frame = plot_data.gradient_through_time(layers)
    first = frame.groupby("variant")["state"].transform("first")
    labels = "time step t; the loss comes after the last", "rms of dL/dh per example"
    return _at_start_and_end(frame[frame["state"] == first], names, "time", labels)


def gradient_along_stream(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw rms(dL/dh) of each block's output, at initialisation and at the end."""
    frame = plot_data.gradient_along_stream(layers)
    labels = "block, from the input", "rms of dL/dh per example"
    return _at_start_and_end(frame, names, "number", labels)


def _at_start_and_end(
    frame: pd.DataFrame, names: list[str], x: str, labels: tuple[str, str]
) -> Figure:
    """Draw the column rms against x, a line per variant, of the first and the last snapshot."""
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    moments = list(frame["is_last"].unique())
    row = figure.subplots(1, len(moments), sharey=True, squeeze=False)[0]
    for axes, is_last in zip(row, moments, strict=True):
        rows = frame[frame["is_last"] == is_last]
        epochs = rows["epoch"].unique()
        title = describe_epoch(epochs[0]) if len(epochs) == 1 else "after the last epoch"
        axes.set_yscale("log")
        panels.draw_lines(rows, axes, x, "rms", line_styles(names))
        axes.set(title=title, xlabel=labels[0])
    row[0].set_ylabel(labels[1])
    add_legend_below(figure)
    return figure


def attenuation_by_depth(theory: pd.DataFrame, names: list[str]) -> Figure:
    """Draw theory and measurement of the attenuation against the depth, a panel per variant."""
    figure = draw_grid(
        plot_data.attenuation_by_depth(theory),
        names,
        panels.draw_attenuation_by_depth,
        ("hidden layers", "attenuation at initialisation"),
    )
    add_legend_above(figure)
    return figure


def attenuation_by_variant(metrics: Metrics) -> Figure:
    """Draw the attenuation of every variant at initialisation, with its interval and theory."""
    frame = plot_data.attenuation_by_variant(metrics)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.24 * len(frame)), layout="constrained")
    axes = panels.draw_attenuation_by_variant(frame, figure.subplots())
    axes.set_xlabel("attenuation at initialisation: rms(dL/dz), first over last hidden layer")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def learning_curves(history: pd.DataFrame, names: list[str]) -> Figure:
    """Draw training loss and test accuracy against the epoch."""
    frame = plot_data.mean_history(history)
    styles = line_styles(names)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_yscale("log")
    panels.draw_lines(frame, left, "epoch", "train_loss", styles)
    panels.draw_lines(frame, right, "epoch", "test_accuracy", styles)
    left.set(xlabel="epoch", ylabel="training loss (nats, log scale)")
    right.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1.02))
    add_legend_below(figure)
    return figure


def generalization_gap(history: pd.DataFrame, names: list[str]) -> Figure:
    """Draw test loss minus training loss of the same weights against the epoch."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    frame = plot_data.generalization_gap(history)
    panels.draw_lines(frame, axes, "epoch", "gap", line_styles(names))
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    axes.set(xlabel="epoch", ylabel="test loss - training loss (nats)")
    add_legend_below(figure)
    return figure


def gradient_trace(trace: pd.DataFrame, names: list[str]) -> Figure:
    """Draw ‖dL/dW‖ by layer and step as a heat map, a panel per variant, one colour scale."""
    frame = plot_data.gradient_trace(trace)
    norm = finite_range(frame["log10_norm"])
    figure = draw_grid(
        frame,
        names,
        partial(panels.draw_gradient_trace, norm=norm),
        ("step", "weight layer, from the input"),
        sharex=False,
        sharey=False,
    )
    figure.colorbar(
        ScalarMappable(norm, COLORMAP), ax=figure.axes, label="log10 ‖dL/dW‖", aspect=40, pad=0.02
    )
    return figure


def gradient_magnitudes(trace_histograms: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the distribution of |dL/dW| of the first layer over training, a panel per variant."""
    frame = plot_data.gradient_magnitudes(trace_histograms)
    edges = frame.loc[np.isfinite(frame["log10_left"]), ["log10_left", "log10_right"]].to_numpy()
    # Without a magnitude to show, the panels still have their rows of zeros and of NaN.
    scale = panels.MagnitudeScale(*(edges.min(), edges.max()) if len(edges) else (-1, 0))
    norm = LogNorm(plot_data.SMALLEST_SHARE, 1)
    figure = draw_grid(
        frame,
        names,
        partial(panels.draw_gradient_magnitudes, scale=scale, norm=norm),
        ("step", "log10 |dL/dW| of the first weight layer"),
    )
    figure.colorbar(
        ScalarMappable(norm, DENSITY_COLORMAP),
        ax=figure.axes,
        label="share of the layer's gradients per factor of 2",
        aspect=40,
        pad=0.02,
    )
    return figure


def saturation(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the share of saturated preactivations by layer over training, a panel per variant."""
    frame = plot_data.saturation(layers)
    colors = colors_of(frame)
    figure = draw_grid(
        frame,
        names,
        partial(panels.draw_saturation, colors=colors),
        ("epoch", "share of z where |φ'(z)| is below 1 % of its maximum"),
    )
    add_layer_legend(figure, colors, "hidden layer, from the input", marker="o")
    return figure


def health_matrix(checks: list[Row]) -> Figure:
    """Draw the verdict of each health rule for each variant."""
    frame = plot_data.health_matrix(checks)
    rows = frame["variant"].nunique()
    figure = Figure(figsize=(WIDTH, 1.8 + 0.24 * rows), layout="constrained")
    panels.draw_health_matrix(frame, figure.subplots())
    return figure


def standard_and_xavier(histograms: pd.DataFrame, pairs: list[tuple[str, str]]) -> Figure:
    """Draw activations and gradients at initialisation, standard beside Xavier, rows by pair."""
    activations = plot_data.activation_distributions(histograms)
    hidden = activations[["variant", "layer_index"]].drop_duplicates()
    is_of_z = histograms["tensor"] == "backpropagated_gradient"
    gradients = plot_data.gradient_distributions(histograms[is_of_z])
    gradients = gradients.merge(hidden)
    colors = colors_of(activations)
    figure = Figure(figsize=(WIDTH, 0.5 + 3.2 * len(pairs)), layout="constrained")
    grid = figure.subplots(2 * len(pairs), 2, sharex="row", sharey="row", squeeze=False)
    for pair, uppers, lowers in zip(pairs, grid[::2], grid[1::2], strict=True):
        for name, upper, lower in zip(pair, uppers, lowers, strict=True):
            rows = activations[activations["variant"] == name]
            panels.draw_activation_distributions(rows, upper, colors)
            rows = gradients[gradients["variant"] == name]
            panels.draw_gradient_distributions(rows, lower, colors)
            upper.set(title=name, xlabel="activation φ(z)")
            lower.set(xlabel="log10 |dL/dz| per example")
        uppers[0].set_ylabel("share per 0.02")
        lowers[0].set_ylabel("share per factor of 2")
    add_layer_legend(figure, colors, "hidden layer, from the input")
    return figure
