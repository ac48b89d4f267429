"""NaN, infinity and zero go through the whole pipeline, recorded and shown as such."""

import json
import math
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from stages import track
from tests.support import mlflow_server
from tests.support.study import BASELINE, run, run_stages, tiny_params, write_lock, write_params
from vanishing.paths import journal
from vanishing.reporting.style import STYLE

VARIANTS = {
    "sigmoid": BASELINE,
    # Activations overflow in the first forward pass: losses and gradients are NaN from then on.
    "overflow": BASELINE | {"activation": "relu", "init": "normal", "std": 1e6, "depth": 8},
    # The product of the weights underflows: gradients of the first layers are exactly zero.
    "underflow": BASELINE | {"activation": "relu", "init": "normal", "std": 1e-12, "depth": 8},
}


def strict(path: Path, text: str | None = None) -> Any:
    """Read JSON, or a line of it, as the standard has it, without NaN and infinities."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{path}: {constant} is no JSON")

    return json.loads(text or path.read_text(), parse_constant=refuse)


@pytest.fixture(params=[10**9, 1], ids=["one-batch", "batches-of-one"])
def extremes(
    request: pytest.FixtureRequest,
    workspace: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Run every stage on three variants, with batches as large and as small as can be."""
    quick = STYLE | {"figure.dpi": 40}
    monkeypatch.setattr("vanishing.reporting.figures.STYLE", quick)
    content = tiny_params()
    content["data"]["train_examples"] = 300
    content["train"] |= {"epochs": 1, "snapshots": [0, "last"], "batch_size": request.param}
    content["variants"] = {
        name: variant | ({"compare_to": "sigmoid"} if name != "sigmoid" else {})
        for name, variant in VARIANTS.items()
    }
    write_params(workspace, content)
    run_stages(list(VARIANTS))
    run("render")
    run("report")
    shutil.copy(empty_store, workspace / "mlflow.db")
    return workspace


@pytest.mark.slow
def test_every_stage_takes_them_and_every_output_shows_them(
    extremes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = pd.read_parquet("data/training/overflow/seed-0/losses.parquet")["loss"]
    assert not losses.map(math.isfinite).all()
    layers = pd.read_parquet("data/statistics/overflow/seed-0/layers.parquet")
    nonfinite = layers[(layers["statistic"] == "fraction_nonfinite") & (layers["epoch"] == 1)]
    assert nonfinite["value"].max() > 0
    layers = pd.read_parquet("data/statistics/underflow/seed-0/layers.parquet")
    zero = layers[
        (layers["statistic"] == "fraction_zero") & (layers["tensor"] == "weight_gradient")
    ]
    assert zero[zero["layer_index"] == 0]["value"].tolist() == [1.0, 1.0]

    metrics = strict(extremes / "reports/metrics.json")
    assert "will not learn" in metrics["overflow"]["verdict"]
    health = strict(extremes / "reports/health.json")
    problems = {(row["variant"], row["rule"]) for row in health if row["verdict"] == "problem"}
    assert ("overflow", "nonfinite_loss") in problems
    assert ("underflow", "vanishing_attenuation") in problems
    strict(extremes / "reports/claims.json")
    path = extremes / journal("overflow", 0)
    lines = [strict(path, line) for line in path.read_text().splitlines()]
    assert "NaN" in {line["row"]["train_loss"] for line in lines if line["kind"] == "epoch"}
    for figure in (extremes / "reports/figures").glob("*.png"):
        assert figure.stat().st_size > 1000
    report = (extremes / "reports/README.md").read_text()
    assert "overflow" in report

    uri = f"sqlite:///{extremes}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    write_lock(extremes)
    track.main([])
    runs = {run.info.run_name: run for run in mlflow_server.runs(uri)}
    assert set(VARIANTS) <= set(runs)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
