"""The tags of a mirrored run, and how runs are nested."""

import shutil
from pathlib import Path

import pytest

from tests.support.mlflow_server import runs
from tests.support.study import copy_study, tiny_params, write_lock, write_params
from tests.support.study import run as run_stage
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.paths import CLAIMS, HEALTH, METRICS, RUNS
from vanishing.pipeline import lock
from vanishing.tracking import identity, mirror
from vanishing.tracking.tags import PARENT, SUPERSEDED


def test_the_stages_and_the_hashes_of_their_outputs_are_named() -> None:
    entry = {
        "train@relu-0": {"outs": [{"path": "models/relu", "md5": "1"}, {"path": "b", "md5": "2"}]},
        "extract@relu-0": {"outs": [{"path": "c", "md5": "3"}]},
    }
    assert mirror.stage_tags(entry) == {
        "dvc.stage": "train@relu-0, extract@relu-0",
        "dvc.models/relu": "1",
        "dvc.b": "2",
        "dvc.c": "3",
    }


@pytest.mark.slow
def test_training_runs_are_nested_under_the_run_of_their_variant_whatever_replaces_it(
    study_folder: Path, workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_study(study_folder, workspace)
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    content = tiny_params()
    content["variants"] = {"sigmoid": content["variants"]["sigmoid"]}

    def mirrored(*seeds: int) -> dict[str, tuple[str, str | None]]:
        """Mirror the study with some seeds; return {name of a run: its id, its parent's id}."""
        content["train"]["seeds"] = list(seeds)
        write_params(workspace, content)
        write_lock(workspace)
        study = load(Judged)
        entries = identity.entries(study, lock.read())
        mirror.mirror(study, entries, identity.identities(study, entries), {"sigmoid": "#000000"})
        return {
            run.info.run_name: (run.info.run_id, run.data.tags.get(PARENT))
            for run in runs(uri)
            if SUPERSEDED not in run.data.tags
        }

    one = mirrored(0)
    assert one.keys() == {"sigmoid", "sigmoid seed 0", "Report"}
    parent, _ = one["sigmoid"]
    child, _ = one["sigmoid seed 0"]
    assert one["sigmoid seed 0"] == (child, parent)

    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    run_stage("train", "sigmoid", "1")
    run_stage("extract", "sigmoid", "1")
    judged = {path: path.read_bytes() for path in (METRICS, HEALTH, CLAIMS, RUNS)}
    run_stage("diagnose")
    two = mirrored(0, 1)
    other_parent, _ = two["sigmoid"]
    assert other_parent != parent
    assert two["sigmoid seed 0"] == (child, other_parent)
    assert two["sigmoid seed 1"][1] == other_parent
    by_id = {run.info.run_id: run.data.metrics for run in runs(uri)}
    losses = [by_id[two[f"sigmoid seed {seed}"][0]]["test_loss"] for seed in (0, 1)]
    assert losses[0] != losses[1]
    assert by_id[other_parent]["test_loss"] == pytest.approx(sum(losses) / 2)

    for path, before in judged.items():
        path.write_bytes(before)
    assert mirrored(0) == one
