"""The diagnose stage: numbers recomputed from the tables, and valid JSON whatever happens."""

import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from stages import diagnose, extract, train
from tests.tiny import tiny_params, write_params


def test_metrics_are_those_of_the_tables(study: Path) -> None:
    metrics = json.loads((study / "reports/metrics.json").read_text())
    assert list(metrics) == ["sigmoid", "relu", "sigmoid-batchnorm"]
    history = pd.read_parquet(study / "models/relu/history.parquet").to_dict("records")
    relu = metrics["relu"]
    assert relu["test_accuracy"] == pytest.approx(history[2]["test_accuracy"])
    gap = history[2]["test_loss"] - history[2]["train_loss"]
    assert relu["generalization_gap"] == pytest.approx(gap, rel=1e-4)
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    rms = layers[
        (layers["tensor"] == "backpropagated_gradient")
        & (layers["statistic"] == "rms")
        & (layers["epoch"] == 0)
    ].set_index("layer")["value"]
    attenuation = rms["hidden.0.linear"] / rms["hidden.2.linear"]
    assert relu["attenuation_init"] == pytest.approx(attenuation, rel=1e-5)


def test_verdicts_turn_at_the_thresholds_of_params(study_folder: Path, workspace: Path) -> None:
    for folder in ("models", "data"):
        shutil.copytree(study_folder / folder, workspace / folder)
    content = tiny_params()
    content["diagnose"] |= {"vanishing_below": 50.0, "exploding_above": 100.0}
    write_params(workspace, content)
    diagnose.main([])
    metrics = json.loads((workspace / "reports/metrics.json").read_text())
    assert all(values["verdict"].startswith("vanishing, ") for values in metrics.values())


def test_plots_have_a_row_per_variant_and_epoch_or_layer(study: Path) -> None:
    curves = pd.read_csv(study / "reports/plots/curves.csv")
    assert len(curves) == 3 * 3
    assert {"variant", "epoch", "train_loss", "test_accuracy"} < set(curves.columns)
    gradients = pd.read_csv(study / "reports/plots/gradients.csv")
    assert len(gradients) == 3 * 3 * 4
    assert (gradients["rms"] > 0).all()


def test_a_diverged_variant_is_reported_as_such_in_valid_json(
    study_folder: Path, workspace: Path
) -> None:
    for folder in ("models", "data"):
        shutil.copytree(study_folder / folder, workspace / folder)
    content = tiny_params()
    content["train"]["learning_rate"] = 1e30
    write_params(workspace, content)
    train.main(["relu"])
    extract.main(["relu"])
    diagnose.main([])
    text = (workspace / "reports/metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert metrics["relu"]["verdict"].endswith("diverged")
    assert metrics["relu"]["train_loss"] is None
    assert metrics["relu"]["attenuation_init"] > 0  # before the first step all was well
    assert metrics["sigmoid"]["train_loss"] > 0


def histogram(scale: str, *bins: tuple[float, float, int]) -> pd.DataFrame:
    """Return rows of a histogram."""
    frame = pd.DataFrame(bins, columns=["bin_left", "bin_right", "count"])
    return frame.assign(scale=scale)


def test_median_magnitude_is_the_middle_of_the_bin_that_holds_it() -> None:
    bins = [(1.0, 2.0, 3), (0.0, 0.0, 1), (4.0, 8.0, 2), (math.nan, math.nan, 9)]
    assert diagnose.median_magnitude(histogram("log2", *bins)) == pytest.approx(math.sqrt(2))
    assert diagnose.median_magnitude(histogram("log2", (0.0, 0.0, 5))) == 0
    assert math.isnan(diagnose.median_magnitude(histogram("log2", (math.nan, math.nan, 5))))


def test_outside_share_leaves_out_the_two_bins_around_zero() -> None:
    bins = [(-0.02, 0.0, 3), (0.0, 0.02, 4), (0.02, 0.04, 1), (1.0, math.inf, 2)]
    assert diagnose.outside_share(histogram("linear", *bins)) == pytest.approx(0.3)
