"""The page on watching a loop: each recipe runs, and the page has the columns of every table."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from tests.support.documentation import code_blocks
from tests.support.study import ROOT
from vanishing import read_run
from vanishing.results.watched import TABLES

PAGE = ROOT / "docs/watching.md"
FIRST, SETUP, *RECIPES, READ = code_blocks(PAGE, "python")


def run(*blocks: str) -> None:
    """Run blocks of Python, one after another, with the same names."""
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def recipe(name: str) -> str:
    """Return the recipe that writes `runs/NAME`."""
    (block,) = (block for block in RECIPES if f'folder="runs/{name}"' in block)
    return block


def test_the_first_loop_is_recorded_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    run(SETUP, FIRST, READ)
    assert len(read_run("runs/mine", "losses")) == 24
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["layer", "0", "2", "4"]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 11))


def test_accumulation() -> None:
    run(SETUP, recipe("accumulation"))
    for table in ("steps", "losses"):
        assert read_run("runs/accumulation", table)["step"].tolist() == [1, 2, 3, 4, 5, 6]


def test_mixed_precision() -> None:
    run(SETUP, recipe("precision"))
    steps = read_run("runs/precision", "steps")
    assert len(steps) == 24
    assert not steps["skipped"].iloc[0]
    another = recipe("precision").replace("runs/precision", "runs/scaled")
    run(SETUP, another.replace('GradScaler("cpu")', 'GradScaler("cpu", init_scale=2.0**8)'))
    first, second = (
        read_run(f"runs/{name}", "trace").query("statistic == 'l2_norm' and step == 1")["value"]
        for name in ("precision", "scaled")
    )
    pd.testing.assert_series_equal(first, second, rtol=0.01)  # float16 rounds them differently


def test_clipping() -> None:
    run(SETUP, recipe("clipping"))
    assert (read_run("runs/clipping", "steps")["norm_before_clipping"] > 0.1).all()
    trace = read_run("runs/clipping", "trace").query("statistic == 'l2_norm' and step == 1")
    squares = trace[trace["tensor"].isin(["weight_gradient", "bias_gradient"])]["value"] ** 2
    assert squares.sum() ** 0.5 == pytest.approx(0.1, rel=1e-3)


def test_two_optimizers() -> None:
    run(SETUP, recipe("pair"))
    steps = read_run("runs/pair", "steps").groupby("optimizer")["step"].max()
    assert steps.to_dict() == {"discriminator": 24, "generator": 24}
    trace = read_run("runs/pair", "trace").query("tensor == 'weight_gradient'")
    assert set(trace["layer"]) == {"generator", "discriminator"}


def test_a_compiled_model() -> None:
    run(SETUP, recipe("compiled"))
    trace = read_run("runs/compiled", "trace")
    of_modules = trace[trace["tensor"] == "backpropagated_gradient"]
    assert of_modules["step"].unique().tolist() == [1, 11, 21]
    assert of_modules["layer"].unique().tolist() == ["0", "2", "4"]
    gradients = trace[trace["tensor"] == "weight_gradient"]
    assert gradients["step"].unique().tolist() == list(range(1, 11))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["replicated", "sharded"])
def test_several_processes(name: str, tmp_path: Path) -> None:
    script = tmp_path / f"{name}.py"
    script.write_text(SETUP + recipe(name), encoding="utf-8")
    assert recipe(name).startswith(
        f"# python -m torch.distributed.run --nproc-per-node 2 {name}.py"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [*command[:3], "--standalone", *command[3:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    trace = read_run(f"runs/{name}", "trace").query("statistic == 'l2_norm' and step == 1")
    gradients = trace[trace["tensor"] == "weight_gradient"]
    assert gradients["layer"].tolist() == ["0", "2", "4"]
    assert (gradients["value"] > 0).all()


@pytest.mark.slow
def test_lightning() -> None:
    run(SETUP, recipe("lightning"))
    for table in ("steps", "losses"):
        assert read_run("runs/lightning", table)["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (read_run("runs/lightning", "steps")["norm_before_clipping"] > 0.1).all()
    assert (Path("runs/lightning") / "trace.parquet").exists()


@pytest.mark.slow
def test_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run(SETUP, recipe("huggingface"))
    assert read_run("runs/huggingface", "losses")["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert read_run("runs/huggingface", "steps")["step"].max() == 6
    layers = read_run("runs/huggingface", "trace")["layer"]
    assert layers.str.contains("self_attn").any()


@pytest.mark.slow
def test_mlflow(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(empty_store, "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")  # set_tracking_uri's, put back
    client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
    experiment = client.create_experiment("mine", Path("artifacts").resolve().as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    try:
        run(SETUP, recipe("mlflow"))
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # forgets it
    (logged,) = client.search_runs([experiment])
    names = [name for name in logged.data.metrics if name.startswith("weight_gradient")]
    assert sorted(names) == ["weight_gradient_00_0", "weight_gradient_01_2", "weight_gradient_02_4"]
    folder = client.list_artifacts(logged.info.run_id, "vanishing/mlflow")
    assert {"gradients.png", "trace.parquet"} <= {Path(artifact.path).name for artifact in folder}


def test_the_page_has_the_columns_of_every_table() -> None:
    rows = re.findall(r"^\| `(\w+)\.parquet` \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.M)
    documented = {name: columns.strip().split(", ") for name, columns in rows}
    assert documented == {name: schema.names for name, schema in TABLES.items()}
