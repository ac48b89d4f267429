"""Tables of a run as the page takes them: quantities by layer, histograms and learning curves.

A page has a size, and a training has any number of traced steps. So what is kept is bounded by the
number of runs and layers: of too many steps some are kept, evenly spaced, the first and the last
among them. What is kept is exact.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vanishing.explorer.encoding import encode_number
from vanishing.judging.verdicts import Row, describe, mark, verdict
from vanishing.results.tables import select, select_weight_gradients

MOST_VALUES = 60_000  # of a quantity, over all runs, layers and steps: 7 bytes each
MOST_HISTOGRAMS = 8_000  # of all quantities: 90 bytes each
MOST_POINTS = 20_000  # of the losses of batches, over all runs
LEAST_STEPS = 2  # the first and the last
_DENORMAL, _SMALLEST_NORMAL = 2.0**-149, 2.0**-126  # edges of a bin, see `stats.histograms`

Frames = Mapping[str, pd.DataFrame]


class Quantity(NamedTuple):
    """A number per layer and step.

    Attributes:
        key: In the page's content, and in its address.
        symbol: A formula.
        words: What it is, for somebody who does not know the formula.
        chart: Where it is drawn.
        tensor: In a table of layers.
        statistic: Likewise.
        log: Whether its axis is logarithmic.
    """

    key: str
    symbol: str
    words: str
    chart: Literal["gradient", "activation"]
    tensor: str
    statistic: str
    log: bool = True


QUANTITIES = (
    Quantity(
        "dz",
        "rms(dL/dz)",
        "gradient that arrives at the layer",
        "gradient",
        "backpropagated_gradient",
        "rms",
    ),
    Quantity(
        "dw",
        "‖dL/dW‖",
        "gradient of the layer's weights",
        "gradient",
        "weight_gradient",
        "l2_norm",
    ),
    Quantity(
        "update",
        "‖update‖ / ‖W‖",
        "size of a step beside the weights",
        "gradient",
        "update",
        "ratio",
    ),
    Quantity(
        "activation", "rms(φ(z))", "size of the activations", "activation", "activation", "rms"
    ),
    Quantity(
        "preactivation",
        "rms(z)",
        "size of the preactivations",
        "activation",
        "preactivation",
        "rms",
    ),
    Quantity(
        "saturation",
        "share of saturated z",
        "units where the activation is flat",
        "activation",
        "preactivation",
        "saturation",
        log=False,
    ),
    Quantity(
        "dead",
        "share of dead units",
        "units that are 0 for every example",
        "activation",
        "activation",
        "fraction_dead",
        log=False,
    ),
)
TRACED = ("dw", "update")  # which a trace has at more steps than there are snapshots
HISTOGRAMS = {  # {key of a quantity: tensor of its histogram}
    "dz": "backpropagated_gradient",
    "dw": "weight_gradient",
    "activation": "activation",
    "preactivation": "preactivation",
}


def of_runs(frames: Mapping[str, Frames]) -> list[dict[str, Any]]:
    """Return the content of each run that its tables give.

    Args:
        frames: {name of the run: {`layers`, `trace`, `histograms`, `trace_histograms`, `history`,
            `losses`: frame}}.

    Returns:
        A record per run: name, layers, series, histograms, curves and epochs.
    """
    names = {name: layer_names(tables) for name, tables in frames.items()}
    width = sum(len(layers) for layers in names.values())
    most = most_steps(MOST_VALUES, width)
    most_histograms = MOST_HISTOGRAMS // max(1, width)
    most_points = most_steps(MOST_POINTS, len(frames))
    return [
        {
            "name": name,
            "layers": names[name],
            "series": series(tables, names[name], most),
            "histograms": histograms(tables, names[name], most_histograms),
            "curves": curves(tables["history"], tables["losses"], min(most_points, 400)),
            "epochs": epochs(tables["history"]),
        }
        for name, tables in frames.items()
    ]


def layer_names(frames: Frames) -> list[str]:
    """Return the layers in the order of the forward pass; those outside of it come last.

    Args:
        frames: `layers` and `trace` of a run. Of a layer that is called several times the first
            call counts.
    """
    rows = _once(pd.concat([frames["layers"], frames["trace"]]))
    rows = rows[rows["tensor"].isin([quantity.tensor for quantity in QUANTITIES])]
    positions = rows[rows["statistic"] == "position"].groupby("layer")["value"].min()
    layers = rows.groupby("layer")["layer_index"].min().to_frame()
    layers["position"] = positions.reindex(layers.index)
    ordered = layers.sort_values(["position", "layer_index"], kind="stable", na_position="last")
    return [str(name) for name in ordered.index]


def series(frames: Frames, layers: Sequence[str], most: int) -> dict[str, Any]:
    """Return {key: {`steps`, `values`: a list per step of a value per layer}} of each quantity.

    Values are means over the seeds; null where nothing is recorded. A quantity without values is
    left out.

    Args:
        frames: `layers` and `trace` of a run.
        layers: As from `layer_names`.
        most: Steps that are kept.
    """
    recorded = {}
    for quantity in QUANTITIES:
        rows = _rows_of(quantity, frames)
        if rows["value"].notna().any():
            recorded[quantity.key] = _by_step(rows, layers, most)
    return recorded


def histograms(frames: Frames, layers: Sequence[str], most: int) -> dict[str, Any]:
    """Return {key: {`steps`, `counts`: a list per step of a histogram per layer}}.

    A histogram of |x| is [zeros, denormals, not finite, k, counts of [2^k, 2^(k+1)), [2^(k+1), …
    ]; null where there is none. Counts are sums over the seeds, which is exact since bins are the
    same everywhere.

    Args:
        frames: `histograms` and `trace_histograms` of a run.
        layers: As from `layer_names`.
        most: Steps that are kept; fewer than LEAST_STEPS stand for none.
    """
    if most < LEAST_STEPS:
        return {}
    of_snapshots = frames["histograms"]
    of_snapshots = of_snapshots[of_snapshots["scale"] == "log2"]
    counted = {}
    for key, tensor in HISTOGRAMS.items():
        rows = frames["trace_histograms"] if key in TRACED else of_snapshots
        is_tensor = rows["tensor"] == tensor
        rows = _once(select_weight_gradients(rows) if key == "dw" else rows[is_tensor])
        if len(rows):
            steps = thin(sorted(rows["step"].unique()), most)
            counted[key] = _count(rows[rows["step"].isin(steps)], steps, layers)
    return counted


def curves(history: pd.DataFrame, losses: pd.DataFrame, most: int) -> dict[str, Any]:
    """Return {key: {`steps`, `values`}}, means over the seeds, of losses and accuracies."""
    columns = {
        "train_loss": "train_loss_end",
        "test_loss": "test_loss",
        "train_accuracy": "train_accuracy_end",
        "test_accuracy": "test_accuracy",
    }
    by_key = {key: history.groupby("step")[column].mean() for key, column in columns.items()}
    by_key["batch_loss"] = losses.groupby("step")["loss"].mean()
    recorded = {}
    for key, values in by_key.items():
        steps = thin(list(values.index), most)
        if len(steps) and values.notna().any():
            encoded = [encode_number(float(value)) for value in values.loc[steps]]
            recorded[key] = {"steps": _integers(steps), "values": encoded}
    return recorded


def epochs(rows: pd.DataFrame) -> list[list[int]]:
    """Return [epoch, its step] of each recorded epoch; none of a run that has no epochs."""
    pairs = rows[["epoch", "step"]].dropna().drop_duplicates("epoch").sort_values("epoch")
    return [[int(epoch), int(step)] for epoch, step in pairs.to_numpy()]


def thin(steps: Sequence[int], most: int) -> list[int]:
    """Return at most so many of some steps, evenly spaced, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    places = np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))
    return [steps[place] for place in places]


def most_steps(values: int, per_step: int) -> int:
    """Return how many steps fit if a page has room for so many values, at least LEAST_STEPS."""
    return max(LEAST_STEPS, values // max(1, per_step))


def plain(markdown: str) -> str:
    """Return a sentence without its marks for strong words and for code."""
    return markdown.replace("**", "").replace("`", "")


def rules_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what each rule says of one run's checks.

    Args:
        rows: Checks, as in reports/health.json.

    Returns:
        {rule: {`verdict`: the gravest, `mark`: the same, of a problem its gravest kind, `reasons`:
        what was measured}}.
    """
    by_rule = {}
    for rule in dict.fromkeys(row["rule"] for row in rows):
        gravest = verdict([*rows], rule)
        reasons = [
            describe(row) for row in rows if row["rule"] == rule and row["verdict"] == gravest
        ]
        by_rule[rule] = {"verdict": gravest, "mark": mark([*rows], rule), "reasons": reasons}
    return by_rule


def _rows_of(quantity: Quantity, frames: Frames) -> pd.DataFrame:
    """Return layer, step and value of a quantity: of the snapshots, or else of the trace."""
    in_trace = quantity.key in TRACED or frames["layers"].empty
    rows = _once(frames["trace" if in_trace else "layers"])
    if quantity.key == "dw":  # a recurrent layer has several matrices: the norm of all of them
        norms = select_weight_gradients(rows[rows["statistic"] == quantity.statistic])
        squares = norms.assign(value=norms["value"] ** 2)
        keys = ["seed", "step", "layer"]
        sums = squares.groupby(keys, sort=False)["value"].sum(min_count=1) ** 0.5
        return sums.reset_index()
    return select(rows, quantity.tensor, quantity.statistic)


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of first calls."""
    return rows[~rows["layer"].astype(str).str.contains("#")]


def _by_step(rows: pd.DataFrame, layers: Sequence[str], most: int) -> dict[str, Any]:
    steps = thin(sorted(rows["step"].unique()), most)
    kept = rows[rows["step"].isin(steps)]
    # A mean that meets NaN is NaN: pandas would leave it out, and hide a seed that has diverged.
    grouped = kept.groupby(["step", "layer"])["value"]
    means = grouped.mean().where(grouped.count() == grouped.size()).rename("value").reset_index()
    values = np.full((len(steps), len(layers)), None, dtype=object)
    row_of, column_of = _places(steps), _places(layers)
    for step, layer, value in means.to_numpy(dtype=object):
        values[row_of[step], column_of[layer]] = encode_number(float(value))
    return {"steps": _integers(steps), "values": values.tolist()}


def _count(rows: pd.DataFrame, steps: list[int], layers: Sequence[str]) -> dict[str, Any]:
    counts: list[list[list[int] | None]] = [[None] * len(layers) for _ in steps]
    row_of, column_of = _places(steps), _places(layers)
    places = rows["step"].map(row_of) * len(layers) + rows["layer"].astype(str).map(column_of)
    order = np.argsort(places.to_numpy(dtype=float), kind="stable")  # a layer without place: last
    sorted_places = places.to_numpy(dtype=float)[order]
    lefts = rows["bin_left"].to_numpy(dtype=np.float64)[order]
    numbers = rows["count"].to_numpy(dtype=np.int64)[order]
    kept, starts = np.unique(sorted_places, return_index=True)
    for place, start, end in zip(kept, starts, [*starts[1:], len(order)], strict=True):
        if not np.isnan(place):
            row, column = divmod(int(place), len(layers))
            counts[row][column] = _histogram(lefts[start:end], numbers[start:end])
    return {"steps": _integers(steps), "counts": counts}


def _histogram(lefts: NDArray[np.float64], counts: NDArray[np.int64]) -> list[int]:
    """Return a histogram as `histograms` describes it."""
    is_normal = np.isfinite(lefts) & (lefts >= _SMALLEST_NORMAL)
    rest = [
        int(counts[mask].sum()) for mask in (lefts == 0, lefts == _DENORMAL, ~np.isfinite(lefts))
    ]
    exponents = np.log2(lefts[is_normal]).round().astype(int)
    if not len(exponents):
        return [*rest, 0]
    first = int(exponents.min())
    dense = np.bincount(exponents - first, weights=counts[is_normal])
    return [*rest, first, *map(int, dense)]


def _places(names: Sequence[Any]) -> dict[Any, int]:
    return {name: place for place, name in enumerate(names)}


def _integers(steps: Sequence[Any]) -> list[int]:
    return [int(step) for step in steps]
