"""The diagnose stage: numbers recomputed from the tables, and valid JSON whatever happens."""

import json
from pathlib import Path

import pandas as pd
import pytest

from stages import diagnose
from tests.support.study import run, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.judging.article import CLAIMS


def test_metrics_are_those_of_the_tables(judged: Path) -> None:
    metrics = json.loads((judged / "reports/metrics.json").read_text())
    assert list(metrics) == ["sigmoid", "relu", "sigmoid-batchnorm"]
    history = pd.read_parquet(judged / "data/training/relu/seed-0/history.parquet").to_dict(
        "records"
    )
    relu = metrics["relu"]
    assert relu["test_accuracy"] == pytest.approx(history[2]["test_accuracy"])
    gap = history[2]["test_loss"] - history[2]["train_loss_end"]
    assert relu["generalization_gap"] == pytest.approx(gap, rel=1e-4)
    layers = pd.read_parquet(judged / "data/statistics/relu/seed-0/layers.parquet")
    rms = layers[
        (layers["tensor"] == "backpropagated_gradient")
        & (layers["statistic"] == "rms")
        & (layers["epoch"] == 0)
    ].set_index("layer")["value"]
    attenuation = rms["hidden.0.linear"] / rms["hidden.2.linear"]
    assert relu["attenuation_init"] == pytest.approx(attenuation, rel=1e-5)


def test_verdicts_turn_at_the_thresholds_of_params(judged_copy: Path) -> None:
    content = tiny_params()
    content["diagnose"]["vanishing_attenuation"]["below"] = 50.0
    write_params(judged_copy, content)
    diagnose.main([])
    metrics = json.loads((judged_copy / "reports/metrics.json").read_text())
    assert all(values["verdict"].startswith("vanishing, ") for values in metrics.values())
    health = json.loads((judged_copy / "reports/health.json").read_text())
    rows = [row for row in health if row["rule"] == "vanishing_attenuation"]
    assert [row["verdict"] for row in rows] == ["problem"] * 3
    assert [row["threshold"] for row in rows] == [50.0] * 3


def test_health_has_a_row_per_variant_and_check_with_its_place(judged: Path) -> None:
    health = json.loads((judged / "reports/health.json").read_text())
    assert {row["variant"] for row in health} == {"sigmoid", "relu", "sigmoid-batchnorm"}
    layers = pd.read_parquet(judged / "data/statistics/relu/seed-0/layers.parquet")
    means = layers[(layers["tensor"] == "weight_gradient") & (layers["statistic"] == "mean_abs")]
    smallest = means.sort_values("value").iloc[0]
    (row,) = [r for r in health if (r["variant"], r["rule"]) == ("relu", "vanishing_gradient")]
    assert row["measured"] == pytest.approx(smallest["value"], rel=1e-5)
    assert (row["layer"], row["epoch"]) == (smallest["layer"], smallest["epoch"])
    assert (row["relation"], row["threshold"], row["verdict"]) == ("below", 1e-7, "fine")
    (dead,) = [r for r in health if (r["variant"], r["rule"]) == ("sigmoid", "dead_relu")]
    assert dead["verdict"] == "not applicable"


def test_each_training_run_stands_with_its_machine_and_its_own_numbers(judged: Path) -> None:
    runs = json.loads((judged / "reports/runs.json").read_text())
    assert [(row["variant"], row["seed"]) for row in runs] == [
        (name, 0) for name in tiny_params()["variants"]
    ]
    for row in runs:
        record = json.loads(
            (judged / f"data/training/{row['variant']}/seed-0/run.json").read_text()
        )
        assert row["machine"] == record["machine"]
    metrics = json.loads((judged / "reports/metrics.json").read_text())
    for row in runs:  # of one seed, whose mean it is
        assert row["metrics"].items() <= metrics[row["variant"]].items()
        assert "train_loss" in row["metrics"]
        assert row["learning"]["verdict"] == metrics[row["variant"]]["verdict"].split(", ")[1]


def test_every_claim_is_judged_and_one_without_its_variants_is_inconclusive(judged: Path) -> None:
    claims = json.loads((judged / "reports/claims.json").read_text())
    assert [row["id"] for row in claims] == [claim.id for claim in CLAIMS]
    by_id = {row["id"]: row for row in claims}
    tanh = by_id["tanh-shrinks"]
    assert (tanh["verdict"], tanh["effect"], tanh["n"]) == ("inconclusive", None, 0)
    assert tanh["evidence"] == "params.yaml has no variant tanh"
    assert by_id["sigmoid-shrinks"]["n"] == 3  # initialisations
    assert by_id["most-gradients-small"]["interval"] is None  # one seed


def test_a_diverged_variant_is_reported_as_such_in_valid_json(judged_copy: Path) -> None:
    content = tiny_params()
    content["train"]["optimizer"]["learning_rate"] = 1e30
    write_params(judged_copy, content)
    run("train", "relu", "0")
    run("extract", "relu", "0")
    diagnose.main([])
    text = (judged_copy / "reports/metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert metrics["relu"]["verdict"].endswith(", will not learn")
    health = json.loads((judged_copy / "reports/health.json").read_text())
    (learning,) = [r for r in health if (r["variant"], r["rule"]) == ("relu", "learning")]
    assert "The loss is not finite." in learning["reason"]
    assert learning["measured"] is None
    assert metrics["relu"]["train_loss"] is None
    assert metrics["relu"]["attenuation_init"] > 0  # before the first step all was well
    assert metrics["sigmoid"]["train_loss"] > 0


def test_results_of_a_removed_variant_are_in_the_way_if_in_no_cache(
    judged_copy: Path,
) -> None:
    content = tiny_params()
    del content["variants"]["sigmoid-batchnorm"]
    write_params(judged_copy, content)
    with pytest.raises(StudyError, match=r"^data/training/sigmoid-batchnorm/seed-0, "):
        diagnose.prepare()
    assert (judged_copy / "models/sigmoid-batchnorm").exists()
