"""Two studies in one repository; one has a network in a module beside its params.yaml."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support import mlflow_server
from tests.support.dvc_repository import CLOSING, call, make, ran, repro
from tests.support.study import BASELINE, write_params
from tools import stale
from vanishing.files import read_json

STUDY = "studies/gates"
NETS = """\
from torch import nn


def build(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 10))
"""
OF_GATED = ["train@gated-0", "extract@gated-0", "initialise@gated"]


def read_params(folder: Path) -> dict[str, Any]:
    """Return the content of a study's params.yaml."""
    content: dict[str, Any] = YAML(typ="safe").load(folder / "params.yaml")
    return content


@pytest.mark.slow
def test_a_second_study_shares_results_with_the_first_and_nothing_else(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository / STUDY
    assert f"make repro STUDY={STUDY}" in make(repository, "study", NAME="gates")
    content = read_params(folder)
    content["code"] = "nets.py"
    content["expect"] = {"gated": {"exploding_tensor": False}}
    gated = {"network": "nets:build", "arguments": {"width": 16}, "compare_to": "sigmoid"}
    content["variants"] = {"sigmoid": dict(BASELINE), "gated": gated}
    write_params(folder, content)
    (folder / "nets.py").write_text(NETS)

    # Stages run side by side. The cache has what the first study computed of sigmoid.
    printed = make(repository, "repro", STUDY=STUDY, JOBS="2", VANISHING_LIVE_METRICS="1")
    assert re.match(r"13 stages to run or restore, about .+ of work here: fingerprint, ", printed)
    states = re.findall(r" (done|cached) +(\S+)/dvc.yaml:(\S+)", printed)
    done, cached = (
        sorted(stage for state, study, stage in states if (state, study) == (kind, STUDY))
        for kind in ("done", "cached")
    )
    assert done == sorted(["fingerprint", "validate", *OF_GATED])
    shared = ["download", "train@sigmoid-0", "extract@sigmoid-0", "initialise@sigmoid"]
    assert cached == sorted(shared)
    assert re.findall(r"^(\w+) +(?:\d+ min )?\d+ s", printed, re.MULTILINE) == CLOSING
    assert f"report: {STUDY}/reports/README.md" in printed
    assert call(repository, "git", "status", "--porcelain") == "?? studies/\n"

    call(repository, "git", "add", ".")
    call(repository, "git", "commit", "-qm", "gates")
    assert repro(folder) == []
    assert call(repository, "git", "status", "--porcelain") == ""
    check_runs(f"sqlite:///{repository}/mlflow.db")
    check_commands(repository)

    nets = folder / "nets.py"
    nets.write_text(NETS.replace("return nn.Sequential(", "return nn.Sequential(nn.Identity(), "))
    assert stale_stages(repository, monkeypatch) == []
    assert stale_stages(folder, monkeypatch) == ["validate", *OF_GATED, *CLOSING]
    assert "nets.build changed" in make(repository, "stale", status=2, STUDY=STUDY)
    assert repro(folder, "train@gated-0") == ["fingerprint", "validate", "train@gated-0"]

    # Another seed in place of the first, and one variant less.
    del content["variants"]["gated"]
    write_params(folder, content | {"expect": {}, "train": content["train"] | {"seeds": [1]}})
    of_seed_1 = ["train@sigmoid-1", "extract@sigmoid-1"]
    assert stale_stages(folder, monkeypatch) == ["validate", *of_seed_1, *CLOSING]
    printed = make(repository, "repro", STUDY=STUDY, VARIANTS="sigmoid", SEEDS="1")
    assert ran(printed) == ["fingerprint", "validate", *of_seed_1]
    assert repro(folder, "diagnose") == ["diagnose"]
    for name in ("models", "data/training", "data/statistics"):
        seeds = [path.relative_to(folder / name) for path in (folder / name).glob("*/*")]
        assert seeds == [Path("sigmoid/seed-1")]
    assert not (folder / "data/initialisation/gated").exists()
    assert read_json(folder / "reports/metrics.json").keys() == {"sigmoid"}
    assert repro(folder, "diagnose") == []


def check_runs(uri: str) -> None:
    """Look whether MLflow has one complete run per result of the second study."""
    runs = {run.info.run_name: run for run in mlflow_server.runs(uri, "vanishing-gradients-gates")}
    of_seeds = {f"{name} seed 0": name for name in ("sigmoid", "gated")}
    assert runs.keys() == {"Report", "sigmoid", "gated", *of_seeds}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name, parent in of_seeds.items():
        assert runs[name].data.tags["mlflow.parentRunId"] == runs[parent].info.run_id
        assert "train_loss" in runs[name].data.metrics
        trained_here = name != "sigmoid seed 0"
        assert ("system/train_duration_s" in runs[name].data.metrics) == trained_here
    assert "Report" in {run.info.run_name for run in mlflow_server.runs(uri)}


def check_commands(repository: Path) -> None:
    """Look whether Make's targets work on the second study."""
    assert "up to date" in make(repository, "stale", STUDY=STUDY)
    assert "all 1 expectations hold" in make(repository, "check", STUDY=STUDY)
    written = "MLflow: 0 runs written, 5 were there already"
    assert written in make(repository, "track", STUDY=STUDY)
    review = make(repository, "review", STUDY=STUDY, BASE="HEAD~1")
    assert review.startswith(f"### `{STUDY}`\n\n**A new study of 2 variants")


def stale_stages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the stale stages of a study."""
    monkeypatch.chdir(folder)
    return list(stale.stale_stages(stale.dvc_status()))
