"""The functions behind the claims, on tables small enough to do it by hand."""

import ast
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from vanishing.judging import effects
from vanishing.judging.effects import Tables
from vanishing.results.schemas import HISTORY, INITIALISATIONS, LAYERS, LOSSES, THEORY


def initialisations(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Return rows of initialisation.parquet of variant v, depth 3."""
    return pd.DataFrame([("v", 3, *row) for row in rows], columns=INITIALISATIONS.names)


def layers(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Return rows of layers.parquet of variant v."""
    return pd.DataFrame([("v", *row) for row in rows], columns=LAYERS.names)


def attenuations(values: Iterable[float]) -> pd.DataFrame:
    """Return initialisations with the given attenuations, by seed, and an output layer each."""
    rows = []
    for seed, value in enumerate(values):
        rows.append((seed, 0, "first", "backpropagated_gradient", "attenuation", value))
        rows.append((seed, 3, "output", "weight", "rms", 1.0))
    return initialisations(*rows)


def test_the_file_imports_numpy_and_pandas_alone() -> None:
    tree = ast.parse(Path(effects.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import numpy as np", "import pandas as pd"]


def test_hop_is_the_root_of_the_attenuation_and_imbalance_its_distance_from_one() -> None:
    t = {"initialisation": attenuations([0.01, 100.0])}
    assert effects.attenuation(t, "v").to_dict() == {0: 0.01, 1: 100.0}
    assert effects.hop(t, "v").tolist() == pytest.approx([0.1, 10.0])  # two hops of three layers
    assert effects.imbalance(t, "v").tolist() == pytest.approx([2.0, 2.0])


def test_saturation_is_that_of_the_worst_layer_and_the_last_snapshot() -> None:
    fresh = [(0, i, f"l{i}", "preactivation", "saturation", 0.1 * i) for i in range(3)]
    t = {"initialisation": initialisations(*fresh)}
    assert effects.saturation(t, "v").to_dict() == {0: pytest.approx(0.2)}
    trained = [
        (0, epoch, 0, i, f"l{i}", "preactivation", "saturation", value)
        for epoch, values in ((0, (0.9, 0.9)), (2, (0.3, 0.1)))
        for i, value in enumerate(values)
    ]
    assert effects.saturation_in_training({"layers": layers(*trained)}, "v").to_dict() == {0: 0.3}


def test_the_line_through_an_exact_exponential_is_exact() -> None:
    depths = (1, 2, 5, 9)
    rows = [
        ("v", depth, seed, 0, "first", "backpropagated_gradient", "attenuation", base**depth)
        for seed, base in ((0, 0.5), (1, 0.25))
        for depth in depths
    ]
    theory = [
        ("v", depth, 0, "attenuation", 0.5**depth, 1.0, None, None, 1) for depth in (*depths, 7)
    ]
    t = {
        "depths": pd.DataFrame(rows, columns=INITIALISATIONS.names),
        "theory": pd.DataFrame(theory, columns=THEORY.names),
    }
    assert effects.depth_factor(t, "v").tolist() == pytest.approx([0.5, 0.25])
    assert effects.depth_r_squared(t, "v").tolist() == pytest.approx([1, 1])
    assert effects.theory_slope(t, "v") == pytest.approx(math.log(0.5))
    assert effects.slope_error(t, "v").tolist() == pytest.approx([0, 1])


def test_drift_is_a_mean_over_hidden_layers_and_neighbouring_snapshots() -> None:
    rows = [
        (0, epoch, 0, i, f"l{i}", "preactivation", "std", value)
        for i, values in enumerate([(1, math.e, 1), (1, 1, 1), (1, 99, 1)])  # the last is output
        for epoch, value in enumerate(values)
    ]
    assert effects.drift({"layers": layers(*rows)}, "v").to_dict() == {0: pytest.approx(0.5)}


def test_scale_exponent_is_that_of_the_fans() -> None:
    fans = {0: (100.0, 300.0), 1: (300.0, 300.0), 2: (300.0, 20.0)}
    rows = [
        (0, 0, 0, i, f"l{i}", "weight", statistic, value)
        for i, pair in fans.items()
        for statistic, value in zip(("fan_in", "fan_out"), pair, strict=True)
    ]
    fresh = [(0, i, f"l{i}", "weight", "rms", sum(pair) ** -0.5) for i, pair in fans.items()]
    t = {"layers": layers(*rows), "initialisation": initialisations(*fresh)}
    assert effects.scale_exponent(t, "v").to_dict() == {0: pytest.approx(-0.5)}


@pytest.fixture
def groups() -> Tables:
    """Give two variants that vanish, a and b, and two that do not, c and d; one seed."""
    sizes = {"a": 1e-5, "b": 1e-3, "c": 0.1, "d": 1.0}
    fresh = [
        (name, 3, seed, 0, "first", "backpropagated_gradient", "attenuation", size)
        for name, size in sizes.items()
        for seed in (0, 1)
    ]
    history = [
        (name, 0, epoch, 200 * epoch, 1.0, 0.5, 0.5 + i, 0.1 * i * epoch, 0.4, 0.5)
        for i, name in enumerate(sizes)
        for epoch in (0, 1)
    ]
    falls = {"a": 300, "b": 201, "c": 51, "d": 1}  # the step from which the loss is 0
    losses = [
        (name, 0, 1, step, 2.0 if step < start else 0.0)
        for name, start in falls.items()
        for step in range(1, 251)
    ]
    return {
        "initialisation": pd.DataFrame(fresh, columns=INITIALISATIONS.names),
        "history": pd.DataFrame(history, columns=HISTORY.names),
        "losses": pd.DataFrame(losses, columns=LOSSES.names),
    }


def test_the_end_of_a_run_is_its_last_epoch(groups: Tables) -> None:
    assert effects.final_accuracies(groups).loc[0].tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert effects.final_accuracy(groups, "d").to_dict() == {0: pytest.approx(0.3)}
    assert effects.generalization_gaps(groups).loc[0, "b"] == pytest.approx(1.1)


def test_medians_are_over_those_that_vanish_and_those_that_do_not(groups: Tables) -> None:
    accuracies = effects.final_accuracies(groups)
    vanishing = effects.median_of_vanishing(groups, accuracies)
    assert vanishing.to_dict() == {0: pytest.approx(0.05)}
    assert effects.median_of_steady(groups, accuracies).to_dict() == {0: pytest.approx(0.25)}


def test_there_is_no_median_of_no_variant(groups: Tables) -> None:
    fresh = groups["initialisation"].assign(value=1.0)
    steady = {**groups, "initialisation": fresh}
    assert effects.median_of_vanishing(steady, effects.final_accuracies(steady)).empty


def test_steps_are_counted_over_a_hundred_batches_or_all_if_the_loss_stays_up(
    groups: Tables,
) -> None:
    steps = effects.steps_to_half_loss(groups)
    assert steps.loc[0].to_dict() == {"a": 250, "b": 243, "c": 100, "d": 100}


def test_small_share_is_of_the_two_bins_around_zero_at_initialisation() -> None:
    bins = [(-0.04, -0.02, 1), (-0.02, 0.0, 3), (0.0, 0.02, 4), (1.0, math.inf, 2)]
    rows = [
        {"variant": "v", "seed": 0, "epoch": epoch, "tensor": "weight_gradient", "scale": "linear"}
        | {"bin_left": left, "bin_right": right, "count": count * (1 + epoch * (left < 0))}
        for epoch in (0, 1)
        for left, right, count in bins
    ]
    t = {"histograms": pd.DataFrame(rows)}
    assert effects.small_shares(t).to_dict() == {(0, "v"): pytest.approx(0.7)}
    assert effects.small_share(t, "v").to_dict() == {0: pytest.approx(0.7)}


def test_displacement_ratio_is_first_over_last_hidden_at_the_end() -> None:
    rows = [
        (0, epoch, 0, i, f"l{i}", "weight", "displacement", value * epoch)
        for epoch in (0, 2)
        for i, value in enumerate((0.1, 0.3, 0.4, 9.0))
    ]
    ratio = effects.displacement_ratio({"layers": layers(*rows)}, "v")
    assert ratio.to_dict() == {0: pytest.approx(0.25)}
