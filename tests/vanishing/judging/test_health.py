"""Each health rule on a run that is well, and on the same run with one thing wrong."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import healthy_run
from vanishing.activations import ACTIVATIONS
from vanishing.judging.effects import Tables
from vanishing.judging.health import Subject, epochs_since_fall, examine, longest_stall
from vanishing.judging.kinds import in_order
from vanishing.params.diagnose import Diagnose, Params
from vanishing.params.load import load


@pytest.fixture(scope="module")
def thresholds() -> Diagnose:
    """Give the shipped thresholds."""
    return load(Params, ROOT / "params.yaml").diagnose


def rows_by_rule(
    tables: Tables, thresholds: Diagnose, activation: str
) -> dict[str, list[dict[str, Any]]]:
    """Return {rule: its rows}."""
    subject = Subject("v", ACTIVATIONS[activation], 10, tables)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in examine(subject, thresholds):
        rows.setdefault(row["rule"], []).append(row)
    return rows


Change = Callable[[Tables], None]


def put(table: str, column: str, value: float, **keys: Any) -> Change:
    """Make a change that sets a column where other columns have the given values."""

    def change(tables: Tables) -> None:
        frame = tables[table]
        chosen = np.logical_and.reduce([frame[key] == content for key, content in keys.items()])
        assert chosen.any()
        frame[column] = frame[column].astype(float)
        frame.loc[chosen, column] = value

    return change


SECOND = {"seed": 1, "epoch": 2, "layer": "second"}
GRADIENT = {"tensor": "weight_gradient"}
ATTENUATION = {"seed": 1, "epoch": 0, "statistic": "attenuation"}
WRONG: dict[str, tuple[str, Change, dict[str, Any]]] = {
    "tiny gradient": (
        "vanishing_gradient",
        put("layers", "value", 9e-8, statistic="mean_abs", **SECOND, **GRADIENT),
        SECOND | {"measured": 9e-8, "threshold": 1e-7, "relation": "below"},
    ),
    "small attenuation": (
        "vanishing_attenuation",
        put("layers", "value", 0.009, **ATTENUATION),
        {"seed": 1, "epoch": 0, "layer": "first", "measured": 0.009},
    ),
    "large attenuation": (
        "exploding_attenuation",
        put("layers", "value", 101.0, **ATTENUATION),
        {"seed": 1, "epoch": 0, "measured": 101.0, "relation": "above"},
    ),
    "one infinity": (
        "exploding_tensor",
        put("layers", "value", 1e-6, tensor="activation", **SECOND),
        SECOND | {"quantity": "share of NaN and infinity of activation"},
    ),
    "NaN loss": (
        "nonfinite_loss",
        put("history", "test_loss", math.nan, seed=1, epoch=2),
        {"seed": 1, "measured": 1.0},
    ),
    "layers on different scales": (
        "poor_initialisation",
        put("layers", "value", 0.1, seed=1, epoch=0, layer="second", tensor="weight"),
        {"seed": 1, "epoch": 0, "measured": pytest.approx(25.0), "threshold": 10.0},
    ),
    "narrow gradient": (
        "poor_initialisation",
        put("layers", "value", -1.5e-3, seed=1, epoch=0, layer="second", statistic="q95"),
        {"seed": 1, "layer": "second", "measured": pytest.approx(5e-4), "threshold": 1e-3},
    ),
    "stalled loss": (
        "poor_initialisation",
        put("losses", "loss", 0.5, seed=1, step=3),
        {"seed": 1, "measured": 7.0, "threshold": 5, "relation": "at least"},
    ),
    "flat units": (
        "saturated_activation",
        put("units", "fraction_flat", 0.02, **SECOND),
        SECOND | {"measured": 1.0, "threshold": 0.5},
    ),
    "giant step": (
        "update_ratio",
        put("trace", "value", 20.0, seed=1, step=40, layer="second", tensor="update"),
        {"seed": 1, "epoch": 2, "step": 40, "layer": "second", "measured": 20.0},
    ),
    "no step": (
        "update_ratio",
        put("trace", "value", 1e-9, seed=1, step=40, layer="second", tensor="update"),
        {"seed": 1, "step": 40, "measured": pytest.approx(1e-9), "relation": "below"},
    ),
    "zeros": (
        "all_zero",
        put("layers", "value", 1.0, statistic="fraction_zero", **SECOND, **GRADIENT),
        SECOND | {"quantity": "share of zeros of weight_gradient"},
    ),
    "frozen layer": (
        "unchanged_tensor",
        put("trace", "value", 1e-6, seed=1, layer="second", tensor="update"),
        {"seed": 1, "layer": "second", "measured": pytest.approx(1e-6)},
    ),
    "level loss": (
        "loss_not_decreasing",
        put("history", "train_loss", 2.299, seed=1, epoch=3),
        {"seed": 1, "measured": pytest.approx(1 - (2.299 / 2.3) ** (1 / 6))},
    ),
    "overfit": (
        "overfit",
        put("history", "test_loss", 0.6, seed=1, epoch=2),
        {"seed": 1, "epoch": 2, "measured": pytest.approx(0.2)},
    ),
    "guesses": (
        "at_chance",
        put("history", "test_accuracy", 0.11, seed=1, epoch=3),
        {"seed": 1, "epoch": 3, "measured": 0.11, "threshold": pytest.approx(0.12)},
    ),
}


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_a_healthy_run_has_no_problem(thresholds: Diagnose, activation: str) -> None:
    rows = rows_by_rule(healthy_run(), thresholds, activation)
    assert list(rows) == in_order(Diagnose.model_fields)
    absent = {"sigmoid": "dead_relu", "relu": "saturated_activation"}[activation]
    for rule, checks in rows.items():
        expected = "not applicable" if rule == absent else "fine"
        assert {row["verdict"] for row in checks} == {expected}, rule


@pytest.mark.parametrize(("rule", "change", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_problem_is_located_by_its_rule_and_by_no_other(
    thresholds: Diagnose, rule: str, change: Change, expected: dict[str, Any]
) -> None:
    tables = healthy_run()
    change(tables)
    rows = rows_by_rule(tables, thresholds, "sigmoid")
    problems = [row for checks in rows.values() for row in checks if row["verdict"] == "problem"]
    (problem,) = [row for row in problems if row["rule"] == rule]
    assert {key: problem[key] for key in expected} == expected
    assert {row["rule"] for row in problems} == {rule}


def test_dead_units_are_a_problem_of_relu_when_they_are_most_of_a_layer(
    thresholds: Diagnose,
) -> None:
    for dead, verdict in ((2, "fine"), (3, "problem")):
        tables = healthy_run()
        for unit in range(dead):
            put("units", "fraction_active", 0.009, unit=unit, **SECOND)(tables)
        (row,) = rows_by_rule(tables, thresholds, "relu")["dead_relu"]
        assert row["verdict"] == verdict
        assert {key: row[key] for key in SECOND} == SECOND
        assert row["measured"] == dead / 4


def test_saturation_applies_to_activations_that_flatten_out_at_both_ends(
    thresholds: Diagnose,
) -> None:
    applies = {
        name: rows_by_rule(healthy_run(), thresholds, name)["saturated_activation"][0]["verdict"]
        for name in ("sigmoid", "tanh", "relu", "swish")
    }
    assert applies == {
        "sigmoid": "fine",
        "tanh": "fine",
        "relu": "not applicable",
        "swish": "not applicable",
    }


def test_a_rule_with_nothing_but_nan_is_undefined(thresholds: Diagnose) -> None:
    tables = healthy_run()
    put("layers", "value", math.nan, epoch=0, statistic="attenuation")(tables)
    (row,) = rows_by_rule(tables, thresholds, "sigmoid")["vanishing_attenuation"]
    assert row["verdict"] == "undefined"
    assert (row["layer"], row["epoch"]) == (None, None)


def test_a_number_beside_nan_is_judged(thresholds: Diagnose) -> None:
    tables = healthy_run()
    put("layers", "value", math.nan, statistic="mean_abs", **SECOND)(tables)
    put("layers", "value", 1e-9, statistic="mean_abs", layer="first", epoch=3)(tables)
    (row,) = rows_by_rule(tables, thresholds, "sigmoid")["vanishing_gradient"]
    assert (row["verdict"], row["layer"]) == ("problem", "first")


def test_overtraining_counts_epochs_without_progress(thresholds: Diagnose) -> None:
    limits = thresholds.overtraining.model_copy(update={"train_patience": 2, "test_patience": 3})
    impatient = thresholds.model_copy(update={"overtraining": limits})
    tables = healthy_run()
    for epoch in (2, 3):
        put("history", "train_loss", 0.995, seed=1, epoch=epoch)(tables)
        put("history", "test_loss", 0.995, seed=1, epoch=epoch)(tables)
    train, test = rows_by_rule(tables, impatient, "sigmoid")["overtraining"]
    assert (train["measured"], train["verdict"]) == (2, "problem")
    assert (test["measured"], test["verdict"]) == (2, "fine")


@pytest.mark.parametrize(
    ("losses", "stalled"),
    [([3, 2, 1], 0), ([1, 2, 3], 2), ([3, 2, 2, 2, 1], 2), ([3, math.nan, 2, 3], 1)],
)
def test_the_longest_stall_has_no_new_lowest_loss(losses: list[float], stalled: int) -> None:
    assert longest_stall(pd.Series(losses)) == stalled


@pytest.mark.parametrize(
    ("losses", "waited"),
    [([3, 2, 1], 0), ([3, 2.95, 2.93, 2.92], 3), ([3, 2, 2, math.nan], 2), ([3, 1, 2, 0.5], 0)],
)
def test_epochs_are_counted_since_the_loss_fell_by_more_than_a_tenth(
    losses: list[float], waited: int
) -> None:
    assert epochs_since_fall(pd.Series(losses), 0.1) == waited
