"""Tables that no network was trained for, with the rows that the figures show."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vanishing.results.schemas import SCHEMAS

SEEDS = (0, 1)
SNAPSHOTS = ((0, 0), (1, 20), (2, 40))  # epoch, step
LAYERS = ((0, "first"), (1, "second"), (2, "output"))
LINEAR_BINS = ((-math.inf, -1.0), (-1.0, 0.0), (0.0, 1.0), (1.0, math.inf))
POWERS = ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (math.inf, math.inf), (math.nan, math.nan))
QUANTILES = ("q01", "q05", "q25", "q50", "q75", "q95", "q99")

Rows = Iterable[tuple[Any, ...]]


def frame(table: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    """Return a table of rows in the order of its columns."""
    return pd.DataFrame(list(rows), columns=SCHEMAS[table].names)


def tables(variants: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of `figures.TABLES`, of two hidden layers, filled with random numbers."""
    rng = np.random.default_rng(3)

    def rows(table: str, *parts: Rows) -> pd.DataFrame:
        keys = [
            sum(parts, ()) for parts in itertools.product([(name,) for name in variants], *parts)
        ]
        missing = len(SCHEMAS[table].names) - len(keys[0])
        return frame(table, *((*key, *rng.uniform(0.1, 1, missing)) for key in keys))

    def histogram(table: str, *parts: Rows) -> pd.DataFrame:
        return rows(table, *parts).assign(count=lambda bins: (1 + 9 * bins["count"]).astype(int))

    seeds = [(seed,) for seed in SEEDS]
    steps = [(step,) for step in (1, 20, 40)]
    tensors = [(tensor,) for tensor in ("weight_gradient", "activation", "backpropagated_gradient")]
    bins = [*(("linear", *edges) for edges in LINEAR_BINS), *(("log2", *edges) for edges in POWERS)]
    return {
        "history": rows("history", seeds, SNAPSHOTS),
        "trace": rows("trace", seeds, steps, LAYERS, [("weight_gradient", "l2_norm")]),
        "trace_histograms": histogram(
            "trace_histograms", seeds, steps, LAYERS, [("weight_gradient",)], POWERS
        ),
        "layers": pd.concat(
            [
                rows("layers", seeds, SNAPSHOTS, LAYERS, [("backpropagated_gradient", "rms")]),
                rows("layers", seeds, SNAPSHOTS, LAYERS[:2], [("preactivation", "saturation")]),
                *(
                    rows("layers", seeds, SNAPSHOTS, LAYERS[:2], [("activation", quantile)])
                    for quantile in QUANTILES
                ),
            ]
        ),
        "histograms": pd.concat(
            [
                histogram("histograms", seeds, SNAPSHOTS, layers, [tensor], bins)
                for tensor, layers in zip(tensors, (LAYERS, LAYERS[:2], LAYERS), strict=True)
            ]
        ),
        "theory": rows("theory", [(depth, 0, "attenuation") for depth in (1, 2, 4)]).assign(
            low=0.05, high=2.0
        ),
    }
