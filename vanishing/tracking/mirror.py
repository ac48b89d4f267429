"""Mirror a study in MLflow: a run per variant, one per training run, and one for the report."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from vanishing.params.study import Study
from vanishing.paths import LOCK, METRICS, REPORTS
from vanishing.pipeline.lock import Entry
from vanishing.results import summaries
from vanishing.tracking import contents, identity, journal
from vanishing.tracking.store import PARENT, Ensured, MLflowStore


def mirror(study: Study, entries: Mapping[str, Entry], identities: Mapping[str, str]) -> int:
    """See to it that MLflow holds each run exactly once, complete, and nested as it should be.

    Args:
        study: Its variants and seeds.
        entries: As of `identity.entries`.
        identities: As of `identity.identities`.

    Returns:
        How many runs had to be written or updated.
    """
    store = MLflowStore(identity.experiment(Path(study.root)))
    metrics = summaries.read(METRICS)
    tags = {name: stage_tags(entry) for name, entry in entries.items()}
    commit = commit_tags(study.root)
    runs: list[Ensured] = []
    for variant in tqdm(study.variants, desc="MLflow", unit="variant", disable=None):
        content = contents.of_variant(
            variant, study.train.seeds, metrics[variant], {**tags[variant], **commit}
        )
        parent = store.ensure(variant, identities[variant], content)
        runs.append(parent)
        for seed in study.train.seeds:
            name = identity.run_name(variant, seed)
            nested = {**tags[name], **commit, PARENT: parent.run_id}
            training = journal.of_results(variant, seed)
            content = contents.of_run(variant, seed, training, nested)
            identifier = training.training if training else None
            runs.append(store.ensure(name, identities[name], content, identifier))
    report = contents.of_report({**tags[identity.REPORT], **commit})
    runs.append(store.ensure(identity.REPORT, identities[identity.REPORT], report))
    store.retire(identities)
    return sum(run.written for run in runs)


def stage_tags(entry: Entry) -> dict[str, str]:
    """Return tags with the names of the stages, and the hashes of their outputs."""
    outs = [out for locked in entry.values() for out in locked["outs"]]
    return {"dvc.stage": ", ".join(entry), **{f"dvc.{out['path']}": out["md5"] for out in outs}}


def commit_tags(root: str) -> dict[str, str]:
    """Return tags with the commit, and whether any file that no stage writes differs from it.

    Args:
        root: Path to the root of the repository; all studies below it count.

    Returns:
        The tags; none where there is no Git, no repository or no commit.
    """
    written = [f":(exclude,glob){root}/**/{path}" for path in (LOCK, f"{REPORTS}/**")]
    try:
        commit = _git("rev-parse", "HEAD").strip()
        changes = _git("status", "--porcelain", "--", root, *written)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": commit, "study.git.dirty": str(bool(changes)).lower()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, encoding="utf-8")
    return done.stdout
