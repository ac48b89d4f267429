"""Tables that no network was trained for: of a run that is well, and of whole studies."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vanishing.judging.effects import Tables
from vanishing.results.schemas import SCHEMAS

SEEDS = (0, 1)
LAYERS = {"first": 0, "second": 1, "output": 2}
EPOCHS = {0: 0, 1: 20, 2: 40, 3: 60}  # {epoch: step}
WELL = {
    ("weight", "std"): 0.02,
    ("weight_gradient", "mean_abs"): 1e-3,
    ("weight_gradient", "q05"): -2e-3,
    ("weight_gradient", "q95"): 2e-3,
    ("weight_gradient", "fraction_nonfinite"): 0.0,
    ("weight_gradient", "fraction_zero"): 0.1,
    ("activation", "fraction_nonfinite"): 0.0,
}


def frame(table: str, rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Return a table of rows in the order of its columns."""
    return pd.DataFrame(list(rows), columns=SCHEMAS[table].names)


def healthy_run() -> Tables:
    """Return the tables that the health rules read, of a variant `v` that has no problem."""
    snapshots = [("v", seed, epoch, step) for seed in SEEDS for epoch, step in EPOCHS.items()]
    layers = [
        (*snapshot, index, layer, *key, value)
        for snapshot in snapshots
        for layer, index in LAYERS.items()
        for key, value in WELL.items()
    ]
    attenuations = [
        (*snapshot, 0, "first", "backpropagated_gradient", "attenuation", 0.5)
        for snapshot in snapshots
    ]
    losses = {0: 2.3, 1: 1.0, 2: 0.5, 3: 0.3}
    history = [
        (*snapshot, *(losses[snapshot[2]], 1 - losses[snapshot[2]] / 3) * 3)
        for snapshot in snapshots
    ]
    trace = [
        ("v", seed, step, index, layer, "update", "ratio", 0.001)
        for seed in SEEDS
        for step in (1, 20, 40, 60)
        for layer, index in LAYERS.items()
    ]
    units = [
        (*snapshot, LAYERS[layer], layer, unit, 0.5, 0.0)
        for snapshot in snapshots
        for layer in ("first", "second")
        for unit in range(4)
    ]
    steps = [
        ("v", seed, 1 + (step - 1) // 20, step, 2.3 / (1 + step / 10))
        for seed in SEEDS
        for step in range(1, 61)
    ]
    return {
        "layers": frame("layers", layers + attenuations),
        "history": frame("history", history),
        "trace": frame("trace", trace),
        "units": frame("units", units),
        "losses": frame("losses", steps),
    }


def random_study(variants: Sequence[str]) -> Tables:
    """Return every table that is judged, of networks of depth 3, filled with random numbers.

    Every other variant vanishes.
    """
    rng = np.random.default_rng(5)
    runs = [_random_run(name, 10.0 ** (-6 * (i % 2)), rng) for i, name in enumerate(variants)]
    return {table: pd.concat([run[table] for run in runs], ignore_index=True) for table in runs[0]}


def _random_run(variant: str, attenuation: float, rng: np.random.Generator) -> Tables:
    snapshots = [(seed, epoch, 150 * epoch) for seed in SEEDS for epoch in (0, 1, 2)]
    layers = [(index, f"layer{index}") for index in range(4)]
    statistics = [
        ("preactivation", "std"),
        ("activation", "std"),
        *(("weight", name) for name in ("std", "fan_in", "fan_out", "displacement")),
        *(("weight_gradient", name) for name in ("rms", "mean_abs", "q05", "q95")),
        ("weight_gradient", "fraction_nonfinite"),
        ("weight_gradient", "fraction_zero"),
    ]
    of_hidden = [("preactivation", "saturation")]
    of_first = [("backpropagated_gradient", "attenuation")]
    fresh = [(3, seed) for seed in range(4)]
    sweep = [(depth, seed) for depth in (1, 2, 3, 6) for seed in SEEDS]

    def rows(table: str, *parts: Iterable[tuple[Any, ...]], scale: float = 1.0) -> pd.DataFrame:
        keys = [sum(combination, (variant,)) for combination in itertools.product(*parts)]
        count = len(SCHEMAS[table].names) - len(keys[0])
        return frame(table, [(*key, *scale * rng.uniform(0.5, 2, count)) for key in keys])

    bins = [(-math.inf, -0.02), (-0.02, 0.0), (0.0, 0.02), (0.02, math.inf)]
    powers = [(0.25, 0.5), (0.5, 1.0), (1.0, 2.0)]
    return {
        "history": rows("history", snapshots),
        "losses": rows("losses", [(s, 1 + i // 150, 1 + i) for s in SEEDS for i in range(300)]),
        "trace": rows(
            "trace",
            [(seed, step) for seed in SEEDS for step in (1, 150, 300)],
            layers,
            [("update", "ratio"), ("weight_gradient", "l2_norm")],
        ),
        "layers": pd.concat(
            [
                rows("layers", snapshots, layers, statistics),
                rows("layers", snapshots, layers[:3], of_hidden),
                rows("layers", snapshots, layers[:1], of_first, scale=attenuation),
            ]
        ),
        "histograms": pd.concat(
            [
                rows("histograms", snapshots, layers, [("weight_gradient", scale, *edges)])
                for scale, all_edges in (("linear", bins), ("log2", powers))
                for edges in all_edges
            ]
        ),
        "units": rows("units", snapshots, layers[:3], [(unit,) for unit in range(5)]),
        "initialisation": pd.concat(
            [
                rows("initialisation", fresh, layers, [("weight", "rms")]),
                rows("initialisation", fresh, layers[:3], of_hidden),
                rows("initialisation", fresh, layers[:1], of_first, scale=attenuation),
            ]
        ),
        "depths": rows("depths", sweep, layers[:1], of_first, scale=attenuation),
        "theory": pd.concat(
            [
                rows("theory", [(depth, 0, "attenuation") for depth in (1, 2, 3, 6)]),
                rows("theory", [(3, index, "hop") for index in range(2)]),
            ]
        ),
    }
