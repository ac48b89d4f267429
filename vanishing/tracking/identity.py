"""What can be known about MLflow's runs without importing MLflow.

The store's address, the names of the runs, the results that each run mirrors, the identity
that tells these from any others, and the state in which the last `track` left the store.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vanishing.errors import redact
from vanishing.files import digest, read_json, write_json
from vanishing.params.answers import LEARNING
from vanishing.params.study import Study
from vanishing.paths import HEALTH, METRICS, MIRROR, RUNS
from vanishing.pipeline.lock import Entry, Lock
from vanishing.results import summaries

ROOT_EXPERIMENT = "vanishing-gradients"  # of the study in the root of the repository
REPORT = "Report"  # the name of a run; variants are in lower case
DATABASE = "mlflow.db"  # in the root of the repository
STUDIES = "studies"  # the folder of the other studies
CONTENT_VERSION = 3  # of what the runs hold: with another, `track` looks at all of them again


class Experiment(NamedTuple):
    """Where the runs of a study are.

    Attributes:
        store: The address (URI) of MLflow's store.
        name: Of the experiment there.
    """

    store: str
    name: str


def experiment(root: Path) -> Experiment:
    """Return where the runs of the study in the working directory are.

    Args:
        root: The root of the repository.

    Returns:
        The experiment; that of a study outside the root is named after its folder.
    """
    folder = Path.cwd().relative_to(root.resolve())
    parts = [part for part in folder.parts if part != STUDIES]
    return Experiment(store_address(root), "-".join([ROOT_EXPERIMENT, *parts]))


def store_address(root: Path) -> str:
    """Return the store that MLFLOW_TRACKING_URI names, or else the repository's SQLite database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / DATABASE}"


def is_temporary(root: Path) -> bool:
    """Return whether a stage runs in a temporary copy of the repository.

    `dvc exp run --temp` and `--queue` make such copies below .dvc/tmp, with the copied repository
    as DVC_ROOT, and delete them: what MLflow would write there would be gone.

    Args:
        root: The root of the repository that the stage runs in.
    """
    original = os.environ.get("DVC_ROOT")
    return (
        original is not None and Path(original, ".dvc", "tmp").resolve() in root.resolve().parents
    )


def database(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for any other store."""
    scheme, _, path = uri.partition(":///")
    is_file = scheme.partition("+")[0] == "sqlite" and path not in {"", ":memory:"}
    return Path(path.partition("?")[0]) if is_file else None


def run_name(variant: str, seed: int) -> str:
    """Return the name of a training run in MLflow."""
    return f"{variant} seed {seed}"


def entries(study: Study, lock: Lock, of_report: bool = True) -> dict[str, Entry]:
    """Look up the stages that wrote what each of MLflow's runs holds.

    Args:
        study: Its variants and seeds.
        lock: Its dvc.lock.
        of_report: Whether the report counts, which has to be made of these results.

    Returns:
        {name of a run: entry of dvc.lock}: of each variant, of each training run, of the report.
    """
    variants = {variant: lock.of_variant(variant) for variant in study.variants}
    runs = {
        run_name(variant, seed): lock.of_run(variant, seed)
        for variant in study.variants
        for seed in study.train.seeds
    }
    return {**variants, **runs, **({REPORT: lock.of_report()} if of_report else {})}


def identities(study: Study, entries: Mapping[str, Entry]) -> dict[str, str]:
    """Compute what tells the results of each run from any others.

    An identity is a digest of outputs. `track` depends on all of them, and run.json, with the
    parameters, is one. Code and commands do not count: an edit that changes no output makes no new
    run. A variant's run summarises its training runs and holds its metrics, so these count too, and
    every run shows whether it learns.

    Args:
        study: Its variants and seeds.
        entries: As `entries` returns them.

    Returns:
        {name of a run: identity}.
    """
    metrics, sentences = summaries.read(METRICS), learning()
    outputs: dict[str, list[Any]] = {
        name: [{stage: locked["outs"]} for stage, locked in entry.items()]
        for name, entry in entries.items()
    }
    for variant in study.variants:
        for seed in study.train.seeds:
            outputs[variant] += outputs[run_name(variant, seed)]
        outputs[variant].append(metrics.get(variant))
    for name in outputs.keys() & sentences.keys():
        outputs[name].append(sentences[name])
    return {name: digest(content) for name, content in outputs.items()}


def learning() -> dict[str, str]:
    """Return {name of a run: whether it learns, in sentences}, of variants and training runs."""
    of_variants = {
        row["variant"]: row["reason"] for row in summaries.read(HEALTH) if row["rule"] == LEARNING
    }
    of_runs = {
        run_name(row["variant"], row["seed"]): row["learning"]["reason"]
        for row in summaries.read(RUNS)
        if "learning" in row  # results of older code, which are stale, do not say
    }
    return of_variants | of_runs


def is_mirrored(experiment: Experiment, identities: Mapping[str, str]) -> bool:
    """Return whether the last `track` mirrored all this there, and the database still exists."""
    noted = _noted(experiment)
    return noted is not None and noted["runs"] == identities


def experiment_id(experiment: Experiment) -> str | None:
    """Return MLflow's id of the experiment, as the last `track` noted it; None without one."""
    noted = _noted(experiment)
    return None if noted is None else str(noted["experiment_id"])


def note_mirrored(
    experiment: Experiment, experiment_id: str, identities: Mapping[str, str]
) -> None:
    """Note that all this is mirrored there, for `is_mirrored` and `experiment_id`."""
    note = {**_place(experiment), "experiment_id": experiment_id, "runs": dict(identities)}
    write_json(MIRROR, note)


def _noted(experiment: Experiment) -> dict[str, Any] | None:
    """Return the note of the last `track`; None if it mirrored elsewhere or otherwise."""
    try:
        noted: dict[str, Any] = read_json(MIRROR)
    except (OSError, json.JSONDecodeError):
        return None
    place = _place(experiment)
    file = database(experiment.store)
    if {key: noted.get(key) for key in place} != place or (file and not file.exists()):
        return None
    return noted


def _place(experiment: Experiment) -> dict[str, Any]:
    file = database(experiment.store)
    store = str(file.resolve()) if file else redact(experiment.store)
    return {"content": CONTENT_VERSION, "store": store, "experiment": experiment.name}
