"""The store's address, and what tells results apart."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.study import tiny_params, write_params
from vanishing.files import write_json, write_text
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import HEALTH, METRICS, RUNS
from vanishing.pipeline.lock import Lock, output_digest
from vanishing.tracking import identity
from vanishing.tracking.identity import Experiment

IDENTITIES = {"relu": "1", "Report": "2"}


def test_each_study_has_an_experiment_in_the_database_of_the_repository(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert identity.experiment(Path()) == ("sqlite:///mlflow.db", "vanishing-gradients")
    folder = workspace / "studies/deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    experiment = identity.experiment(Path("../.."))
    assert experiment == ("sqlite:///../../mlflow.db", "vanishing-gradients-deep")
    database = identity.database(experiment.store)
    assert database is not None
    assert database.resolve() == workspace / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert identity.experiment(Path("../..")).store == "http://server:5000"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////home/a b/mlflow.db", "/home/a b/mlflow.db"),
        ("sqlite+pysqlite:///mlflow.db?timeout=5", "mlflow.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://study@host/mlflow", None),
        ("http://host:5000", None),
    ],
)
def test_the_file_of_a_sqlite_database_is_known(uri: str, path: str | None) -> None:
    assert identity.database(uri) == (Path(path) if path else None)


def compute(
    content: dict[str, Any],
    metrics: dict[str, Any],
    contents: dict[str, str],
    learning: dict[str, str] | None = None,
) -> dict[str, str]:
    """Return the identities in a study.

    Args:
        content: Of its params.yaml.
        metrics: Of its metrics.json.
        contents: {stage: content of its output}; other outputs are empty.
        learning: {variant, or variant and seed: verdict}; others learn.
    """
    write_params(Path(), content)
    write_json(METRICS, metrics)
    verdicts = learning or {}
    of_variants = [
        {"variant": name, "rule": "learning", "reason": verdicts.get(name, "learns")}
        for name in content["variants"]
    ]
    write_json(HEALTH, [*of_variants, {"variant": "relu", "rule": "overfit"}])
    of_runs = [
        {
            "variant": name,
            "seed": seed,
            "learning": {"reason": verdicts.get(f"{name} {seed}", "learns")},
        }
        for name in content["variants"]
        for seed in content["train"]["seeds"]
    ]
    write_json(RUNS, of_runs)
    study = load(Study)
    runs = [f"{variant}-{seed}" for variant in study.variants for seed in study.train.seeds]
    stages = [f"{stage}@{run}" for run in runs for stage in ("train", "extract")]
    stages += [f"initialise@{variant}" for variant in study.variants]
    stages += ["diagnose", "render", "report"]
    outs = {}
    for stage in stages:
        path = Path("of") / stage
        write_text(path, contents.get(stage, ""))
        outs[stage] = [{"path": str(path), "md5": output_digest(path)}]
    lock = Lock({stage: {"outs": of_stage} for stage, of_stage in outs.items()})
    return identity.identities(study, identity.entries(study, lock))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the names whose identity differs."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.usefixtures("workspace")
def test_an_identity_changes_with_the_results_that_the_run_holds_and_no_others() -> None:
    content = tiny_params()
    content["train"]["seeds"] = [0, 1]
    before = compute(content, {}, {})
    assert before.keys() == {
        "Report",
        *content["variants"],
        *(f"{variant} seed {seed}" for variant in content["variants"] for seed in (0, 1)),
    }
    assert changed(before, compute(content, {}, {})) == set()
    for stage, names in {
        "train@relu-1": {"relu", "relu seed 1"},
        "extract@relu-0": {"relu", "relu seed 0"},
        "initialise@relu": {"relu"},
        "render": {"Report"},
    }.items():
        assert changed(before, compute(content, {}, {stage: "other"})) == names
    assert changed(before, compute(content, {"relu": {"test_accuracy": 1.0}}, {})) == {"relu"}
    for name, run in {"relu": "relu", "relu 1": "relu seed 1"}.items():
        other = {name: "will not learn"}
        assert changed(before, compute(content, {}, {}, other)) == {run}


@pytest.mark.usefixtures("workspace")
def test_one_more_seed_changes_the_variants_and_no_training_run() -> None:
    content = tiny_params()
    before = compute(content, {}, {})
    content["train"]["seeds"] = [0, 1]
    variants = set(content["variants"])
    added = {f"{variant} seed 1" for variant in variants}
    assert changed(before, compute(content, {}, {})) == variants | added


@pytest.mark.usefixtures("workspace")
def test_results_are_mirrored_where_the_last_track_noted_them() -> None:
    experiment = Experiment("sqlite:///mlflow.db", "study")
    assert not identity.is_mirrored(experiment, IDENTITIES)
    identity.note_mirrored(experiment, "7", IDENTITIES)
    assert not identity.is_mirrored(experiment, IDENTITIES)  # there is no such database
    Path("mlflow.db").touch()
    assert identity.is_mirrored(experiment, IDENTITIES)
    same = Experiment(f"sqlite:///{Path('mlflow.db').resolve()}", "study")
    assert identity.is_mirrored(same, IDENTITIES)
    assert identity.experiment_id(same) == "7"
    for other in (experiment._replace(name="other"), experiment._replace(store="http://server")):
        assert not identity.is_mirrored(other, IDENTITIES)
        assert identity.experiment_id(other) is None
    assert not identity.is_mirrored(experiment, IDENTITIES | {"relu": "3"})


@pytest.mark.usefixtures("workspace")
def test_runs_of_an_older_version_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment("http://server", "study")
    with monkeypatch.context() as patch:
        patch.setattr(identity, "CONTENT_VERSION", identity.CONTENT_VERSION - 1)
        identity.note_mirrored(experiment, "7", IDENTITIES)
    assert not identity.is_mirrored(experiment, IDENTITIES)
