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
from vanishing.tracking.store import Content
from vanishing.tracking.tags import FIGURES, VERDICT, WEIGHTS

STEPS = [1, 10, 20, 30, 40]  # traced ones of the tiny study


def curve(content: Content, name: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric."""
    return [(scalar.step, scalar.value) for scalar in content.scalars if scalar.name == name]


@pytest.mark.usefixtures("study")
def test_a_training_run_has_its_parameters_curves_tables_and_weights() -> None:
    content = contents.of_run("relu", 0, None, {"a": "tag"})
    assert content.params["network.activation"] == "relu"
    assert content.params["train.optimizer.learning_rate"] == 0.01
    assert content.params["seed"] == 0
    history = pd.read_parquet(paths.table("history", "relu", 0))
    expected = list(zip(history["epoch"], history["test_loss"], strict=True))
    assert curve(content, "test_loss") == expected
    losses = pd.read_parquet(paths.table("losses", "relu", 0)).set_index("step")["loss"]
    assert curve(content, "train_loss_batch") == [(step, losses[step]) for step in STEPS]
    for name in ("weight_gradient_00_hidden.0.linear", "weight_gradient_03_output"):
        assert [step for step, _ in curve(content, name)] == STEPS
    assert [step for step, _ in curve(content, "attenuation")] == [0, 1, 2]
    assert content.times is None
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
        *(f"statistics/{name}.parquet" for name in ("factors", "layers", "histograms", "units")),
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
    assert content.times == ("training", 100.0, 104.0)


def training(name: str, started: float, ended: float) -> TrainingRun:
    """Return what the journal of a training run holds."""
    return TrainingRun(name, "abacus", "host", started, ended, ended - started, 5)


def test_several_training_runs_last_from_the_first_start_to_the_last_end_if_all_are_known() -> None:
    first, second = training("a", 100.0, 104.0), training("b", 102.0, 103.0)
    times = contents.times([second, first])
    assert times is not None
    assert times[1:] == (100.0, 104.0)
    other = contents.times([first, training("c", 102.0, 103.0)])
    assert other is not None
    assert other.trainings != times.trainings
    assert contents.times([first, None]) is None


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
    shutil.copytree("data/statistics/relu/seed-0", "data/statistics/relu/seed-1")
    alone = contents.of_variant("relu", {0: None}, "steady, learns", {})
    content = contents.of_variant("relu", {0: None, 1: None}, "steady, learns", {})
    assert content.params["train.seeds"] == [0, 1]
    assert content.params.items() >= {"network.activation": "relu", "train.epochs": 2}.items()
    assert curve(alone, "test_loss") == curve(contents.of_run("relu", 0, None, {}), "test_loss")
    means = dict(curve(content, "test_loss"))
    losses = dict(curve(alone, "test_loss"))
    assert means == pytest.approx({epoch: (loss + 9) / 2 for epoch, loss in losses.items()})
    assert repr(curve(content, "train_loss")) == repr(curve(alone, "train_loss"))  # less NaN
    assert curve(content, "attenuation_init") == curve(content, "attenuation")[:1]
    assert content.tags[VERDICT] == "steady, learns"
    assert {f"{folder}/{path.name}" for path, folder in content.artifacts.items()} == {
        *(f"initialisation/{name}.parquet" for name in ("initialisation", "depths", "theory")),
        "figures/relu.png",
    }
    paths.card("relu").write_bytes(b"drawn anew")
    redrawn = contents.of_variant("relu", {0: None}, "steady, learns", {})
    assert redrawn.tags[FIGURES] != content.tags[FIGURES]


@pytest.mark.usefixtures("study")
def test_the_report_is_kept_in_its_folders() -> None:
    content = contents.of_report({"a": "tag"})
    assert content.artifacts[paths.REPORT] == "reports"
    assert content.artifacts[paths.card("relu")] == "reports/figures/variants"
    assert set(content.artifacts) == set(Path("reports").rglob("*.*"))
    assert content.times is None  # it is no training
    assert content.tags == {"a": "tag"}
