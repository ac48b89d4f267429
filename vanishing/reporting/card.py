"""A variant's card: one figure of six panels, or three of a recorded run, from its own tables."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishing.reporting import panels, plot_data
from vanishing.reporting.figures import Tables
from vanishing.reporting.layout import (
    WIDTH,
    colors_of,
    describe_epoch,
    finite_range,
    say_not_recorded,
)
from vanishing.reporting.style import line_styles
from vanishing.results.tables import select_weight_gradients

TABLES = ("history", "trace", "layers", "histograms", "theory")
TABLES_OF_RECORDED = ("losses", "trace")


def draw_card(name: str, tables: Tables) -> Figure:
    """Draw one variant in six panels.

    Args:
        name: Of the variant.
        tables: {table: frame}, for each of TABLES, of this variant.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    figure.suptitle(name, fontsize=10)
    losses, decay, depth, gradients, activations, trace = figure.subplots(2, 3).flatten()
    colors = colors_of(tables["layers"])
    _draw_losses(tables, losses)
    _draw_decay(tables, decay)
    _draw_depth(tables, depth)
    histograms = select_weight_gradients(tables["histograms"])
    shares = plot_data.gradient_distributions(histograms)
    panels.draw_gradient_distributions(shares, gradients, colors)
    gradients.set(xlabel="log10 |dL/dW| at initialisation", ylabel="share per factor of 2")
    quantiles = plot_data.activation_quantiles(tables["layers"])
    if len(quantiles):
        panels.draw_activation_quantiles(quantiles, activations, colors)
    else:
        say_not_recorded(activations)
    activations.set(xlabel="hidden layer", ylabel="φ(z) at initialisation")
    norms = plot_data.gradient_trace(tables["trace"])
    panels.draw_gradient_trace(norms, trace, finite_range(norms["log10_norm"]))
    trace.set(xlabel="step", ylabel="weight layer")
    figure.colorbar(trace.images[0], ax=trace, label="log10 ‖dL/dW‖")
    return figure


def draw_recorded_card(name: str, tables: Tables) -> Figure:
    """Draw a recorded run in three panels; a panel without rows says so.

    Args:
        name: Of the variant.
        tables: {table: frame}, for each of TABLES_OF_RECORDED, of this variant.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    figure.suptitle(f"{name} (a recorded run)", fontsize=10)
    losses, decay, trace = figure.subplots(1, 3)
    panels.draw_lines(tables["losses"], losses, "step", "loss", line_styles([name]))
    losses.set(xlabel="step", ylabel="loss of a batch")
    frame = plot_data.traced_gradient_decay(tables["trace"])
    decay.set_yscale("log")
    styles = line_styles(list(frame["moment"].unique()))
    panels.draw_lines(frame, decay, "layer_index", "rms", styles, by="moment")
    decay.set(xlabel="module, in the order of definition", ylabel="rms of dL/dz")
    norms = plot_data.gradient_trace(tables["trace"])
    trace.set(xlabel="step", ylabel="weight layer")
    if len(frame):
        decay.legend()
    if len(norms):
        panels.draw_gradient_trace(norms, trace, finite_range(norms["log10_norm"]))
        figure.colorbar(trace.images[0], ax=trace, label="log10 ‖dL/dW‖")
    for axes, rows in ((losses, tables["losses"]), (decay, frame), (trace, norms)):
        if rows.empty:
            say_not_recorded(axes)
    return figure


def _draw_depth(tables: Tables, axes: Axes) -> None:
    """Draw how the gradient falls with depth, through time, or along the residual stream."""
    attenuation = plot_data.attenuation_by_depth(tables["theory"])
    through_time = plot_data.gradient_through_time(tables["layers"])
    stream = plot_data.gradient_along_stream(tables["layers"])
    if len(attenuation) > 1 or not len(through_time) + len(stream):
        panels.draw_attenuation_by_depth(attenuation, axes)
        axes.set(xlabel="hidden layers", ylabel="attenuation at initialisation")
    elif len(through_time):
        _draw_moments(through_time, axes, "time", "state")
        axes.set(xlabel="time step t", ylabel="rms of dL/dh")
    else:
        _draw_moments(stream, axes, "number")
        axes.set(xlabel="block, from the input", ylabel="rms of dL/dh")
    axes.legend()


def _draw_moments(frame: pd.DataFrame, axes: Axes, x: str, of: str | None = None) -> None:
    """Draw the column rms against x, a line per snapshot and value of a column."""
    moment = frame["epoch"].map(describe_epoch)
    lines = moment if of is None or len(frame[of].unique()) == 1 else frame[of] + " " + moment
    frame = frame.assign(line=lines)
    axes.set_yscale("log")
    panels.draw_lines(frame, axes, x, "rms", line_styles(list(frame["line"].unique())), by="line")


def _draw_losses(tables: Tables, axes: Axes) -> None:
    frame = plot_data.losses(tables["history"])
    styles = line_styles(["train", "test"])
    panels.draw_lines(frame, axes, "epoch", "loss", styles, by="examples")
    axes.set(xlabel="epoch", ylabel="loss at its end (nats)")
    axes.legend()


def _draw_decay(tables: Tables, axes: Axes) -> None:
    _draw_moments(plot_data.gradient_decay(tables["layers"]), axes, "layer_index")
    axes.set(xlabel="weight layer, from the input", ylabel="rms of dL/dz")
    axes.legend()
