"""What each of MLflow's runs holds, by the files of a study."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vanishing import paths
from vanishing.results import tables
from vanishing.tracking import contents
from vanishing.tracking.journal import TrainingRun
from vanishing.tracking.store import FIGURES, WEIGHTS, Content

STEPS = [1, 10, 20, 30, 40]  # traced ones of the tiny study


def curve(content: Content, name: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric."""
    return [(scalar.step, scalar.value) for scalar in content.scalars if scalar.name == name]


@pytest.mark.usefixtures("study")
def test_a_training_run_has_its_parameters_curves_tables_and_weights() -> None:
    content = contents.of_run("relu", 0, None, {"a": "tag"})
    assert content.params["network.activation"] == "relu"
    assert content.params["train.learning_rate"] == 0.01
    assert content.params["seed"] == 0
    history = pd.read_parquet(paths.table("history", "relu", 0))
    expected = list(zip(history["epoch"], history["test_loss"], strict=True))
    assert curve(content, "test_loss") == expected
    losses = pd.read_parquet(paths.table("losses", "relu", 0)).set_index("step")["loss"]
    assert curve(content, "loss") == [(step, losses[step]) for step in STEPS]
    for name in ("gradient/00-hidden.0.linear", "gradient/03-output"):
        assert [step for step, _ in curve(content, name)] == STEPS
    assert content.tags == {
        "a": "tag",
        "study.variant": "relu",
        "study.seed": "0",
        WEIGHTS: "complete",
    }
    assert content.dataset is not None
    assert content.dataset[0] == "MNIST"
    assert len(content.dataset[1]) == 32
    assert {f"{folder}/{path.name}" for path, folder in content.artifacts.items()} == {
        "training/run.json",
        *(f"training/{name}.parquet" for name in ("history", "losses", "trace")),
        "training/trace_histograms.parquet",
        *(f"statistics/{name}.parquet" for name in ("layers", "histograms", "units")),
        *(f"models/epoch-00{epoch}.safetensors" for epoch in (0, 1, 2)),
    }


@pytest.mark.usefixtures("study")
def test_a_journal_adds_what_the_results_do_not_hold() -> None:
    training = TrainingRun("training", "abacus", "host", 100.0, 104.0, 3.5, 5)
    content = contents.of_run("relu", 0, training, {})
    assert curve(content, "system/train_duration_s") == [(0, 3.5)]
    assert curve(content, "system/peak_memory_bytes") == [(0, 5)]
    assert content.tags["study.device"] == "abacus"
    assert content.tags["study.host"] == "host"


@pytest.mark.usefixtures("judged_copy")
def test_a_clone_without_weights_mirrors_the_tables() -> None:
    shutil.rmtree(paths.MODELS)
    content = contents.of_run("relu", 0, None, {})
    assert WEIGHTS not in content.tags
    assert set(content.artifacts.values()) == {"training", "statistics"}


def copy_run(variant: str, seed: int, **columns: Any) -> None:
    """Copy the training run with seed 0, with other values in some columns of its history."""
    record = json.loads(paths.run_record(variant, 0).read_text())
    history = tables.read("history", [variant], [0]).assign(**columns)
    rows = [
        {str(key): value for key, value in row.items() if key not in {"variant", "seed"}}
        for row in history.to_dict("records")
    ]
    tables.write("history", variant, rows, seed)
    paths.run_record(variant, seed).write_text(json.dumps(record | {"seed": seed}))


def test_a_variant_has_the_means_over_its_seeds_and_what_needs_no_training(
    judged_copy: Path,
) -> None:
    assert judged_copy
    paths.card("relu").parent.mkdir(parents=True)
    paths.card("relu").write_bytes(b"figure")
    copy_run("relu", 1, test_loss=9.0, train_loss=math.nan)
    metrics = {"test_accuracy": 0.5, "gradient": None, "verdict": "healthy"}
    alone = contents.of_variant("relu", [0], metrics, {})
    content = contents.of_variant("relu", [0, 1], metrics, {})
    assert content.params["train.seeds"] == [0, 1]
    assert content.params.items() >= {"network.activation": "relu", "train.epochs": 2}.items()
    assert curve(alone, "test_loss") == curve(contents.of_run("relu", 0, None, {}), "test_loss")
    means = dict(curve(content, "test_loss"))
    losses = dict(curve(alone, "test_loss"))
    assert means == pytest.approx({epoch: (loss + 9) / 2 for epoch, loss in losses.items()})
    assert repr(curve(content, "train_loss")) == repr(curve(alone, "train_loss"))  # less NaN
    assert [scalar for scalar in content.scalars if scalar.name.startswith("final/")] == [
        ("final/test_accuracy", 0.5, 0)
    ]
    assert {f"{folder}/{path.name}" for path, folder in content.artifacts.items()} == {
        *(f"initialisation/{name}.parquet" for name in ("initialisation", "depths", "theory")),
        "figures/relu.png",
    }
    paths.card("relu").write_bytes(b"drawn anew")
    assert contents.of_variant("relu", [0], metrics, {}).tags[FIGURES] != content.tags[FIGURES]


@pytest.mark.usefixtures("study")
def test_the_report_is_kept_in_its_folders() -> None:
    content = contents.of_report({"a": "tag"})
    assert content.artifacts[paths.REPORT] == "reports"
    assert content.artifacts[paths.card("relu")] == "reports/figures/variants"
    assert set(content.artifacts) == set(Path("reports").rglob("*.*"))
    assert content.tags == {"a": "tag"}
