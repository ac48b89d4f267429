"""Mirror a study in MLflow: a run per variant, one per training run, and one for the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from vanishing.judging.findings import findings
from vanishing.params.diagnose import Judged
from vanishing.paths import CLAIMS, METRICS
from vanishing.pipeline.lock import Entry
from vanishing.results import summaries
from vanishing.tracking import contents, descriptions, identity, journal, source, views
from vanishing.tracking.identity import REPORT
from vanishing.tracking.journal import TrainingRun
from vanishing.tracking.store import Ensured, MLflowStore
from vanishing.tracking.tags import COLOR, LEARNING, PARENT


class Mirrored(NamedTuple):
    """What `mirror` did.

    Attributes:
        experiment_id: MLflow's id of the study's experiment.
        written: How many runs had to be written or updated.
    """

    experiment_id: str
    written: int


class Results(NamedTuple):
    """What is mirrored.

    Attributes:
        study: Its variants and seeds.
        identities: As of `identity.identities`.
        tags: {name of a run: tags with its stages, their outputs and the commit}.
        metrics: As in reports/metrics.json.
        learning: As of `identity.learning`.
        colors: {variant: colour of its lines}.
        trainings: {variant: {seed: what the journal of its training run holds, or None}}.
    """

    study: Judged
    identities: Mapping[str, str]
    tags: Mapping[str, Mapping[str, str]]
    metrics: Mapping[str, Mapping[str, Any]]
    learning: Mapping[str, str]
    colors: Mapping[str, str]
    trainings: Mapping[str, Mapping[int, TrainingRun | None]]


def mirror(
    study: Judged,
    entries: Mapping[str, Entry],
    identities: Mapping[str, str],
    colors: Mapping[str, str],
) -> Mirrored:
    """See to it that MLflow holds each run exactly once, complete, and nested as it should be.

    Args:
        study: Its variants and seeds.
        entries: As of `identity.entries`.
        identities: As of `identity.identities`.
        colors: {variant: colour of its lines}.

    Returns:
        What had to be done.
    """
    store = MLflowStore(identity.experiment(Path(study.root)))
    commit = source.commit(study.root)
    results = Results(
        study,
        identities,
        {name: {**stage_tags(entry), **commit} for name, entry in entries.items()},
        summaries.read(METRICS),
        identity.learning(),
        colors,
        {
            variant: {seed: journal.of_results(variant, seed) for seed in study.train.seeds}
            for variant in study.variants
        },
    )
    runs: list[Ensured] = []
    for variant in tqdm(study.variants, desc="MLflow", unit="variant", disable=None):
        runs += _mirror_variant(store, results, variant)
    report = _mirror_report(store, results)
    store.retire(identities)
    sentences = findings(study, results.metrics, summaries.read(CLAIMS))
    text = descriptions.of_experiment(study, store.experiment_id, report.run_id, sentences)
    store.describe({**views.saved(), **descriptions.tags(text)})
    return Mirrored(store.experiment_id, sum(run.written for run in [*runs, report]))


def _mirror_variant(store: MLflowStore, results: Results, variant: str) -> list[Ensured]:
    """Mirror a variant, and its training runs below it."""
    study, metrics = results.study, results.metrics[variant]
    tags = {
        **results.tags[variant],
        **source.of_stage("initialise"),
        **descriptions.tags(descriptions.of_variant(study, variant, metrics)),
        LEARNING: results.learning[variant],
        COLOR: results.colors[variant],
    }
    trainings = results.trainings[variant]
    content = contents.of_variant(variant, trainings, metrics["verdict"], tags)
    parent = store.ensure(variant, results.identities[variant], content)
    runs = [parent]
    for seed, training in trainings.items():
        name = identity.run_name(variant, seed)
        tags = {
            **results.tags[name],
            **source.of_stage("train"),
            **descriptions.tags(descriptions.of_run(study, variant, seed, metrics)),
            LEARNING: results.learning[name],
            COLOR: results.colors[variant],
            PARENT: parent.run_id,
        }
        content = contents.of_run(variant, seed, training, tags)
        runs.append(store.ensure(name, results.identities[name], content))
    return runs


def _mirror_report(store: MLflowStore, results: Results) -> Ensured:
    tags = {
        **results.tags[REPORT],
        **source.of_stage("report"),
        **descriptions.tags(descriptions.of_report()),
    }
    return store.ensure(REPORT, results.identities[REPORT], contents.of_report(tags))


def stage_tags(entry: Entry) -> dict[str, str]:
    """Return tags with the names of the stages, and the hashes of their outputs."""
    outs = [out for locked in entry.values() for out in locked["outs"]]
    return {"dvc.stage": ", ".join(entry), **{f"dvc.{out['path']}": out["md5"] for out in outs}}
