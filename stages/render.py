"""Draw the figures: `python -m stages.render`.

In: params.yaml (`variants`), every variant's tables, reports/metrics.json and reports/health.json.
Out: reports/figures/*.png, the same bytes for the same numbers, of the variants that `selection`
shows, and reports/figures/variants/*.png, one of each variant.
"""

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from tqdm import tqdm

from vanishing.files import HEALTH, METRICS, REPORTS, replacing
from vanishing.judging import verdicts
from vanishing.params import base as section
from vanishing.params.study import Study, Variant
from vanishing.pipeline.guard import run_stage
from vanishing.reporting import panels as figures
from vanishing.reporting import plot_data as frames
from vanishing.reporting import selection
from vanishing.results import tables as results

FOLDER = REPORTS / "figures"
WIDTH = 8.3  # inches: at 200 dots per inch twice the width of a pull request page
COLUMNS = 3
PAIRS = 4  # the most in the figure of standard and Xavier weights
TABLES = ("history", "trace", "layers", "histograms", "theory")


def main(argv: list[str]) -> None:
    """Draw every figure."""
    argparse.ArgumentParser(prog="python -m stages.render", description=__doc__).parse_args(argv)
    settings = section.load(Study)
    metrics = verdicts.read(METRICS)
    names = selection.shown(metrics, settings.baseline)
    works = overview(settings, metrics, names)
    for name in settings.variants:
        works[f"variants/{name}"] = partial(card, name)
    with mpl.rc_context(figures.STYLE):
        for name, work in tqdm(works.items(), desc="render", unit="figure", disable=None):
            with replacing(FOLDER / f"{name}.png") as path:
                work().savefig(path, format="png", metadata={"Software": None})


def overview(
    settings: Study, metrics: dict[str, Any], names: list[str]
) -> dict[str, Callable[[], Figure]]:
    """Return {name: what draws it} of the figures that set variants side by side.

    Args:
        settings: Of the study.
        metrics: As in reports/metrics.json.
        names: The variants to show.
    """
    tables = read(names)
    histograms, layers, history = tables["histograms"], tables["layers"], tables["history"]
    baseline = histograms[histograms["variant"] == settings.baseline]
    checks = [row for row in verdicts.read(HEALTH) if row["variant"] in names]
    works: dict[str, Callable[[], Figure]] = {
        "gradient-histogram": lambda: gradient_histogram(baseline),
        "gradient-distributions": lambda: gradient_distributions(histograms, names),
        "activation-distributions": lambda: activation_distributions(layers, names),
        "gradient-decay": lambda: gradient_decay(layers, names),
        "attenuation-by-depth": lambda: attenuation_by_depth(tables["theory"], names),
        "learning-curves": lambda: learning_curves(history, names),
        "gradient-trace": lambda: gradient_trace(tables["trace"], names),
        "attenuation-by-variant": lambda: attenuation_by_variant({n: metrics[n] for n in names}),
        "saturation": lambda: saturation(layers, names),
        "generalization-gap": lambda: generalization_gap(history, names),
        "health": lambda: health_matrix(checks),
    }
    pairs = xavier_pairs({name: settings.variants[name] for name in names})[:PAIRS]
    if pairs:
        works["standard-and-xavier"] = lambda: standard_and_xavier(histograms, pairs)
    return works


def read(names: list[str]) -> dict[str, pd.DataFrame]:
    """Read what the figures show of some variants."""
    return {table: results.read(table, names) for table in TABLES}


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
    frame = frames.gradient_distributions(histograms, "weight_gradient")
    colors = figures.layer_colors(frame["layer_index"].max() + 1)
    figure = _grid(
        frame,
        names,
        lambda rows, axes: figures.draw_gradient_distributions(rows, axes, colors),
        ("log10 |dL/dW|", "share of weights per factor of 2"),
    )
    _layer_legend(figure, colors, "weight layer, from the input")
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
        figures.draw_lines(rows, axes, "layer_index", "rms", figures.looks(names), "log")
        axes.set(title=moment(epoch), xlabel="weight layer, from the input")
    row[0].set_ylabel("rms of dL/dz per example")
    _legend_below(figure)
    return figure


def attenuation_by_depth(theory: pd.DataFrame, names: list[str]) -> Figure:
    """Draw theory and measurement of the attenuation against the depth, a panel per variant."""
    figure = _grid(
        frames.attenuation_by_depth(theory),
        names,
        figures.draw_attenuation,
        ("hidden layers", "attenuation at initialisation"),
    )
    figure.legend(*_named(figure), loc="outside upper center", ncols=4)
    return figure


def learning_curves(history: pd.DataFrame, names: list[str]) -> Figure:
    """Draw training loss and test accuracy against the epoch."""
    frame = frames.learning_curves(history)
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    row = figure.subplots(1, 2)
    for axes, column, scale in zip(
        row, ("train_loss", "test_accuracy"), ("log", "linear"), strict=True
    ):
        figures.draw_lines(frame, axes, "epoch", column, figures.looks(names), scale)
    row[0].set(xlabel="epoch", ylabel="training loss (nats, log scale)")
    row[1].set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1.02))
    _legend_below(figure)
    return figure


def gradient_trace(trace: pd.DataFrame, names: list[str]) -> Figure:
    """Draw ‖dL/dW‖ by layer and step as a heat map, a panel per variant, one colour scale."""
    frame = frames.gradient_trace(trace)
    norm = _scale(frame)
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


def attenuation_by_variant(metrics: dict[str, Any]) -> Figure:
    """Draw the attenuation of every variant at initialisation, with its interval and theory."""
    frame = frames.attenuation_by_variant(metrics)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.24 * len(frame)), layout="constrained")
    axes = figures.draw_attenuation_by_variant(frame, figure.subplots())
    axes.set_xlabel("attenuation at initialisation: rms(dL/dz), first over last hidden layer")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def saturation(layers: pd.DataFrame, names: list[str]) -> Figure:
    """Draw the share of saturated preactivations by layer over training, a panel per variant."""
    frame = frames.saturation(layers)
    colors = figures.layer_colors(frame["layer_index"].max() + 1)
    figure = _grid(
        frame,
        names,
        lambda rows, axes: figures.draw_saturation(rows, axes, colors),
        ("epoch", "share of z where |φ'(z)| is below 1 % of its maximum"),
    )
    _layer_legend(figure, colors, "hidden layer, from the input", marker="o")
    return figure


def generalization_gap(history: pd.DataFrame, names: list[str]) -> Figure:
    """Draw test loss minus training loss of the same weights against the epoch."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    frame = frames.generalization_gap(history)
    figures.draw_lines(frame, axes, "epoch", "gap", figures.looks(names))
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set(xlabel="epoch", ylabel="test loss - training loss (nats)")
    _legend_below(figure)
    return figure


def standard_and_xavier(histograms: pd.DataFrame, pairs: list[tuple[str, str]]) -> Figure:
    """Draw activations and gradients at initialisation, standard beside Xavier, rows by variant."""
    activations = frames.activation_distributions(histograms)
    hidden = activations[["variant", "layer_index"]].drop_duplicates()
    gradients = frames.gradient_distributions(histograms, "backpropagated_gradient").merge(hidden)
    colors = figures.layer_colors(activations["layer_index"].max() + 1)
    figure = Figure(figsize=(WIDTH, 0.5 + 3.2 * len(pairs)), layout="constrained")
    grid = figure.subplots(2 * len(pairs), 2, sharex="row", sharey="row", squeeze=False)
    for index, pair in enumerate(pairs):
        for name, upper, lower in zip(pair, grid[2 * index], grid[2 * index + 1], strict=True):
            own = activations[activations["variant"] == name]
            figures.draw_activation_distributions(own, upper, colors)
            own = gradients[gradients["variant"] == name]
            figures.draw_gradient_distributions(own, lower, colors)
            upper.set(title=name, xlabel="activation φ(z)")
            lower.set(xlabel="log10 |dL/dz| per example")
        grid[2 * index, 0].set_ylabel("share per 0.02")
        grid[2 * index + 1, 0].set_ylabel("share per factor of 2")
    _layer_legend(figure, colors, "hidden layer, from the input")
    return figure


def card(name: str) -> Figure:
    """Draw one variant in six panels, from its own tables alone."""
    tables = read([name])
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    figure.suptitle(name, fontsize=10)
    curves, decay, depth, gradients, activations, trace = figure.subplots(2, 3).flatten()
    history, layers = tables["history"], tables["layers"]
    colors = figures.layer_colors(layers["layer_index"].max() + 1)
    losses = frames.losses(history)
    figures.draw_lines(losses, curves, "epoch", "loss", figures.looks(["train", "test"]))
    curves.set(xlabel="epoch", ylabel="loss at its end (nats)")
    curves.legend()
    snapshots = frames.gradient_decay(layers).assign(variant=lambda rows: rows["epoch"].map(moment))
    moments = list(snapshots["variant"].unique())
    figures.draw_lines(snapshots, decay, "layer_index", "rms", figures.looks(moments), "log")
    decay.set(xlabel="weight layer, from the input", ylabel="rms of dL/dz")
    decay.legend()
    figures.draw_attenuation(frames.attenuation_by_depth(tables["theory"]), depth)
    depth.set(xlabel="hidden layers", ylabel="attenuation at initialisation")
    depth.legend()
    shares = frames.gradient_distributions(tables["histograms"], "weight_gradient")
    figures.draw_gradient_distributions(shares, gradients, colors)
    gradients.set(xlabel="log10 |dL/dW| at initialisation", ylabel="share per factor of 2")
    figures.draw_activation_quantiles(frames.activation_quantiles(layers), activations, colors)
    activations.set(xlabel="hidden layer", ylabel="φ(z) at initialisation")
    norms = frames.gradient_trace(tables["trace"])
    image = figures.draw_gradient_trace(norms, trace, _scale(norms)).images[0]
    trace.set(xlabel="step", ylabel="weight layer")
    figure.colorbar(image, ax=trace, label="log10 ‖dL/dW‖")
    return figure


def _scale(norms: pd.DataFrame) -> Normalize:
    """Span the colours over what is finite."""
    finite = norms.loc[np.isfinite(norms["log10_norm"]), "log10_norm"]
    return Normalize(finite.min(), finite.max())


def xavier_pairs(variants: dict[str, Variant]) -> list[tuple[str, str]]:
    """Find the variants that differ from their reference in having Xavier weights, no more."""
    return [
        (variant.compare_to, name)
        for name, variant in variants.items()
        if variant.compare_to in variants
        and variant.differences(variants[variant.compare_to])
        == {"init": ("default", "xavier_uniform")}
    ]


def health_matrix(checks: list[dict[str, Any]]) -> Figure:
    """Draw what each health rule found in each variant."""
    frame = frames.health_matrix(checks)
    rows = frame["variant"].nunique()
    figure = Figure(figsize=(WIDTH, 1.6 + 0.24 * rows), layout="constrained")
    figures.draw_health_matrix(frame, figure.subplots())
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


def _layer_legend(figure: Figure, colors: list[Any], title: str, marker: str = "None") -> None:
    lines = [Line2D([], [], color=c, marker=marker, label=str(i)) for i, c in enumerate(colors)]
    figure.legend(handles=lines, title=title, loc="outside upper center", ncols=12)


def _legend_below(figure: Figure) -> None:
    figure.legend(*_named(figure), loc="outside lower center", ncols=5, handlelength=3)


def _named(figure: Figure) -> tuple[list[Any], list[str]]:
    """Return what is named in any of the figure's axes, each name once."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


if __name__ == "__main__":
    sys.exit(run_stage(main))
