"""Real `dvc repro` in temporary Git repositories: which stages run after which edit."""

import gzip
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from ray.cluster_utils import Cluster

from tests.support import mlflow_server as serving
from tests.support.dvc_repository import call, lay_out, repro
from tests.support.study import BASELINE, DIGITS, ROOT, tiny_params, write_params
from vanishing.files import sha256
from vanishing.tracking.store import EXPERIMENT

EVERY = ["train@sigmoid", "extract@sigmoid", "train@relu", "extract@relu"]
CLOSING = ["diagnose", "render", "report", "track"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a repository in which the whole pipeline has run and its results are committed."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    lay_out(folder, two_variants())
    assert sorted(repro(folder)) == sorted(["validate", "download", *EVERY, *CLOSING])
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "-qm", "results")
    return folder


@pytest.fixture
def repository(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of the finished repository to edit."""
    return shutil.copytree(finished, tmp_path / "study", symlinks=True)


def two_variants() -> dict[str, Any]:
    """Return the tiny parameters with the variants sigmoid and relu."""
    content = tiny_params()
    del content["variants"]["sigmoid-batchnorm"]
    return content


def with_change(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the two variants' parameters, changed."""
    content = two_variants()
    change(content)
    return content


def test_results_are_small_and_data_stay_out_of_git(finished: Path) -> None:
    tracked = call(finished, "git", "ls-files").split()
    assert {"dvc.lock", "reports/README.md", "reports/metrics.json"} < set(tracked)
    assert not [name for name in tracked if name.startswith(("data/", "models/"))]
    assert call(finished, "git", "status", "--porcelain") == ""


def test_nothing_runs_where_nothing_changed(finished: Path) -> None:
    assert repro(finished) == []
    assert call(finished, "git", "status", "--porcelain") == ""


def complete_runs(uri: str) -> list[Run]:
    """Return all runs of a store, after a look whether each result has one, and it is complete."""
    runs = serving.runs(uri)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.info.run_name for run in runs) == ["Report", "relu", "sigmoid"]
    variants = [run for run in runs if run.info.run_name != "Report"]
    assert all(run.data.metrics["system/train_duration_s"] > 0 for run in variants)
    assert all("train_loss" in run.data.metrics for run in variants)
    return runs


def test_a_cluster_of_two_gives_the_same_lock_and_runs_nothing_twice(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    call(tmp_path, "git", "clone", "-q", str(finished), str(folder))
    (folder / "dvc.lock").unlink()
    call(folder, sys.executable, "-m", "dvc", "remote", "add", "-d", "s", str(tmp_path / "remote"))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = Cluster()
    try:
        for number in (1, 2):
            node = {"DVC_CLUSTER_CACHE": str(tmp_path / f"cache{number}"), "OMP_NUM_THREADS": "1"}
            made.add_node(num_cpus=1, env_vars=node)
        printed = call(
            folder,
            *(sys.executable, "-m", "cluster", "--address", made.address),
            *("--env", "MLFLOW_TRACKING_URI", "--env", "LIVE_METRICS"),
            environment={"MLFLOW_TRACKING_URI": uri, "LIVE_METRICS": "1", "PYTHONPATH": str(ROOT)},
        )
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]
    logs = [printed, *(log.read_text() for log in (folder / ".dvc/tmp/cluster").glob("*.log"))]
    ran = [name for text in logs for name in re.findall(r"(?m)^Running stage '([^']+)'", text)]
    assert sorted(ran) == sorted(["validate", "download", *EVERY, *CLOSING])
    assert (folder / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    # Both trained at once, each showing its run in the same file while it ran; `track` ran here.
    runs = complete_runs(uri)
    assert all(run.info.artifact_uri.startswith(tmp_path.as_uri()) for run in runs)


def test_make_runs_stages_side_by_side_in_one_store(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    call(tmp_path, "git", "clone", "-q", str(finished), str(folder))
    (folder / "dvc.lock").unlink()
    printed = make(folder, "repro", JOBS="2", LIVE_METRICS="1", MLFLOW_TRACKING_URI="")
    assert (folder / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert printed.count("Stage 'validate' didn't change") == 1  # one `dvc repro`, at the end
    assert "report: reports/README.md" in printed
    complete_runs(f"sqlite:///{folder}/mlflow.db")


def test_a_changed_variant_reruns_itself_and_what_follows(repository: Path) -> None:
    write_params(repository, with_change(lambda c: c["variants"]["relu"].update(width=12)))
    assert repro(repository) == ["validate", "train@relu", "extract@relu", *CLOSING]
    write_params(repository, two_variants())
    # What DVC caches is restored; the JSON files and the report are in Git alone.
    assert repro(repository) == ["diagnose", "report", "track"]


def test_a_new_variant_is_all_that_is_trained(repository: Path) -> None:
    extra = BASELINE | {"activation": "tanh", "compare_to": "sigmoid"}
    write_params(repository, with_change(lambda c: c["variants"].update(tanh=extra)))
    assert repro(repository) == ["validate", "train@tanh", "extract@tanh", *CLOSING]
    assert "| tanh " in (repository / "reports/README.md").read_text()


def test_a_removed_variant_leaves_nothing_behind(repository: Path) -> None:
    write_params(repository, with_change(lambda c: c["variants"].pop("relu")))
    assert repro(repository) == ["validate", *CLOSING]
    assert not (repository / "models/relu").exists()
    assert not (repository / "data/statistics/relu").exists()
    assert "| relu " not in (repository / "reports/README.md").read_text()
    assert repro(repository) == []


def test_a_changed_figure_redraws_and_rewrites_but_measures_nothing(repository: Path) -> None:
    path = repository / "vanishing/reporting/style.py"
    path.write_text(path.read_text().replace("#E69F00", "#F0E442"))
    assert repro(repository) == ["render", "report", "track"]


def test_a_changed_threshold_judges_again_but_measures_nothing(repository: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["diagnose"]["vanishing_attenuation"]["below"] = 0.5

    write_params(repository, with_change(change))
    # The health figure is drawn again because health.json names the threshold.
    assert repro(repository) == ["validate", *CLOSING]


def test_an_edit_to_no_effect_leaves_nothing_stale_and_makes_no_run(repository: Path) -> None:
    path = repository / "vanishing/judging/health.py"
    path.write_text(path.read_text() + "# a remark\n")
    before = (repository / ".study/identities.json").read_bytes()
    printed = make(repository, "repro")
    assert "Running stage 'diagnose'" in printed
    assert "MLflow: nothing new" in printed
    assert (repository / ".study/identities.json").read_bytes() == before
    assert "up to date" in call(repository, sys.executable, "-m", "tools.stale")


def test_an_expectation_is_validated_and_reruns_nothing_else(repository: Path) -> None:
    expected = {"relu": {"exploding_tensor": False}}
    write_params(repository, with_change(lambda c: c.update(expect=expected)))
    assert repro(repository) == ["validate"]


def test_a_changed_optimizer_trains_all_variants_again(repository: Path) -> None:
    write_params(repository, with_change(lambda c: c["train"].update(momentum=0.5)))
    assert sorted(repro(repository)) == sorted(["validate", *EVERY, *CLOSING])


def test_changed_raw_data_go_through_every_stage(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(DIGITS, tmp_path / "source")
    name = "t10k-images-idx3-ubyte"
    content = bytearray(gzip.decompress((source / f"{name}.gz").read_bytes()))
    content[-1] ^= 0xFF
    (source / f"{name}.gz").unlink()
    (source / name).write_bytes(content)
    checksum = sha256(source / name)
    write_params(repository, with_change(lambda c: c["data"]["checksums"].update({name: checksum})))
    monkeypatch.setenv("MNIST_SOURCE", str(source))
    assert sorted(repro(repository)) == sorted(["validate", "download", *EVERY, *CLOSING])


def test_damaged_raw_data_are_restored_from_the_cache(repository: Path) -> None:
    path = repository / "data/raw/MNIST/raw/t10k-images-idx3-ubyte"
    before = path.read_bytes()
    path.unlink()
    path.write_bytes(b"damaged")
    assert repro(repository) == []
    assert path.read_bytes() == before


def test_a_clone_without_data_is_up_to_date(finished: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(finished), str(clone))
    assert repro(clone, "--dry", "--allow-missing") == []


def test_a_clone_that_restores_everything_ends_with_complete_mlflow_runs(
    finished: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(finished), str(clone))
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {finished}/.dvc/cache\n")
    assert repro(clone) == ["track"]
    assert call(clone, "git", "status", "--porcelain") == ""
    client = MlflowClient(tracking_uri=f"sqlite:///{clone}/mlflow.db")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in runs) == [
        ("Report", "FINISHED"),
        ("relu", "FINISHED"),
        ("sigmoid", "FINISHED"),
    ]
    assert repro(clone) == []
    (clone / "mlflow.db").unlink()
    assert "MLflow: 3 runs written" in make(clone, "repro")
    assert "MLflow: nothing new" in make(clone, "repro")


def make(folder: Path, target: str, **environment: str) -> str:
    """Run a Make target in the tests' own environment."""
    return call(folder, "make", "-o", "setup", target, environment=environment)


def test_what_one_machine_pushes_another_has_by_pulling(repository: Path, tmp_path: Path) -> None:
    assert "no DVC remote is set up" in make(repository, "push")
    call(repository, sys.executable, "-m", "dvc", "remote", "add", "-d", "store", "../remote")
    call(repository, "git", "commit", "-qam", "a store")
    make(repository, "push")
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(repository), str(clone))
    make(clone, "pull")
    assert (clone / "models/relu/history.parquet").exists()
    assert repro(clone) == ["track"]


def test_publish_pushes_the_lock_and_the_reports_and_nothing_else(
    repository: Path, tmp_path: Path
) -> None:
    call(tmp_path, "git", "init", "-q", "--bare", "origin.git")
    call(repository, "git", "remote", "add", "origin", "../origin.git")
    (repository / "reports/README.md").write_text("rewritten")
    (repository / "params.yaml").write_text((repository / "params.yaml").read_text() + "# mine")
    for _ in range(2):  # the second time there is nothing to commit
        make(repository, "publish", BRANCH="topic")
    log = call(tmp_path / "origin.git", "git", "log", "--format=%s", "--name-only", "topic", "-1")
    assert log.split("\n\n") == ["Reproduce the study", "reports/README.md\n"]
    assert call(tmp_path / "origin.git", "git", "rev-list", "--count", "topic").strip() == "2"


def test_a_reproduction_of_some_variants_runs_no_others(repository: Path, tmp_path: Path) -> None:
    write_params(repository, with_change(lambda c: c["train"].update(momentum=0.5)))
    printed = make(repository, "repro", VARIANTS="relu")
    assert re.findall(r"^Running stage '([^']+)'", printed, flags=re.MULTILINE) == [
        "validate",
        "train@relu",
        "extract@relu",
    ]
    hostile = {"VARIANTS": f"relu; touch {tmp_path}/done $(touch {tmp_path}/done)"}
    printed = call(repository, "make", "-o", "setup", "repro", status=2, environment=hostile)
    assert "no variant 'relu;'" in printed
    assert not (tmp_path / "done").exists()


def test_a_clone_without_data_names_all_that_an_edit_makes_stale(
    finished: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(finished), str(clone))
    assert "up to date" in call(clone, sys.executable, "-m", "tools.stale")
    write_params(clone, with_change(lambda c: c["variants"]["relu"].update(width=12)))
    printed = call(clone, sys.executable, "-m", "tools.stale", status=1)
    stages = [line.split()[2] for line in printed.splitlines() if " is stale: " in line]
    assert stages == ["validate", "train@relu", "extract@relu", *CLOSING]
    assert "variants.relu modified" in printed
    assert "run: make repro, and commit dvc.lock and reports/" in printed


def test_a_dry_run_names_what_an_edit_makes_stale_and_runs_nothing(repository: Path) -> None:
    write_params(repository, with_change(lambda c: c["variants"]["relu"].update(width=12)))
    before = (repository / "dvc.lock").read_bytes()
    stale = repro(repository, "--dry", "--allow-missing")
    assert stale == ["validate", "train@relu", "extract@relu", *CLOSING]
    assert (repository / "dvc.lock").read_bytes() == before


def test_a_misspelt_key_stops_the_pipeline_before_any_work(repository: Path) -> None:
    write_params(repository, with_change(lambda c: c["train"].update(epoch=3)))
    shutil.rmtree(repository / "models/relu")
    printed = call(repository, sys.executable, "-m", "stages.train", "relu", status=1)
    assert printed.splitlines() == [
        "error: params.yaml: train.epoch: unknown key (did you mean epochs?); allowed: epochs,"
        " batch_size, optimizer, learning_rate, momentum, seeds, snapshots, evaluation_size,"
        " trace_every, device"
    ]
    assert not (repository / "models/relu").exists()


def test_dvc_draws_the_curves_of_every_variant(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    call(finished, sys.executable, "-m", "dvc", "plots", "show", "--out", str(folder))
    html = (folder / "index.html").read_text()
    for title in ("training loss", "test accuracy", "gradient decay"):
        assert title in html
    assert '"field": "variant"' in html
    assert '"variant": "relu"' in html


def test_dvc_shows_the_metrics_by_variant(finished: Path) -> None:
    table = call(finished, sys.executable, "-m", "dvc", "metrics", "show", "--md")
    assert "relu.test_accuracy" in table


@pytest.mark.parametrize("name", ["a;touch done", "$(touch done)", "a|touch done", "../done", "-h"])
def test_a_variants_name_reaches_no_shell_even_under_plain_dvc(repository: Path, name: str) -> None:
    extra = BASELINE | {"compare_to": "sigmoid"}
    write_params(repository, with_change(lambda c: c["variants"].update({name: extra})))
    before = sorted((repository / "models").rglob("*"))
    printed = call(repository, sys.executable, "-m", "dvc", "repro", status=255)
    assert "done" not in {path.name for path in repository.rglob("*")}
    assert sorted((repository / "models").rglob("*")) == before
    assert "params.yaml: variants." in printed or "is invalid" in printed
