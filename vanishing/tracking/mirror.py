"""What MLflow should hold of each variant and of the report."""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from vanishing.files import METRICS, MODELS, REPORTS, STATISTICS, read_json
from vanishing.pipeline.lock import LOCK, REPORT, Entry, digest
from vanishing.results import run
from vanishing.results import tables as results
from vanishing.tracking import journal
from vanishing.tracking import scalars as points
from vanishing.tracking.scalars import Point
from vanishing.tracking.store import FIGURES, Content, Store

_NOT_SETTINGS: Any = {"variant": True, "data": {"checksums"}}


def mirror(entries: dict[str, Entry], identities: dict[str, str]) -> int:
    """See to it that every name has its run.

    Args:
        entries: As of `lock.entries`.
        identities: As of `lock.identities`.

    Returns:
        How many runs were written.
    """
    store = Store()
    metrics = read_json(METRICS)
    git = git_state()
    written = 0
    for name, identity in tqdm(identities.items(), desc="MLflow", unit="run", disable=None):
        tags = described(entries[name]) | git
        if name == REPORT:
            content, token = Content({}, [], tags, None, report_artifacts()), None
        else:
            content, token = of_variant(name, metrics[name], tags)
        written += store.ensure(name, identity, content, token)
    store.retire(identities)
    return written


def described(entry: Entry) -> dict[str, str]:
    """Return tags that name the stages, and the hashes of their outputs."""
    outs = {f"dvc.{o['path']}": o["md5"] for stage in entry.values() for o in stage["outs"]}
    return {"dvc.stage": ", ".join(entry)} | outs


def git_state() -> dict[str, str]:
    """Return tags with the commit, and whether anything differs from it that DVC did not write."""
    try:
        commit = _git("rev-parse", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", ".", f":!{LOCK}", f":!{REPORTS}")
    except (OSError, subprocess.CalledProcessError):
        return {}  # no repository, or none with a commit
    return {"mlflow.source.git.commit": commit, "study.git.dirty": str(bool(changed)).lower()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def of_variant(
    name: str, metrics: dict[str, float | str | None], tags: dict[str, str]
) -> tuple[Content, str | None]:
    """Collect what a variant's run holds.

    Returns:
        The content, and the token of the training that the results come from, if its journal is
        still there.
    """
    description = run.load(name)
    found = points_of(name, description.train.seeds, metrics)
    *_, last = [{}, *journal.read(name)]
    token = None
    if last.get("kind") == "end" and last["history"] == journal.digest(name):
        start = next(journal.read(name))
        token = start["token"]
        tags = tags | {"study.device": start["device"], "study.host": start["host"]}
        found.append(Point("system/train_duration_s", last["duration_s"], 0))
        found.append(Point("system/peak_memory_bytes", last["peak_memory_bytes"], 0))
    checksums = description.data.checksums.by_file()
    dataset = description.data.dataset, digest(checksums)[:32]  # MLflow's limit is 36
    tags = tags | {FIGURES: hashlib.sha256(card(name).read_bytes()).hexdigest()}
    settings = flat(description.model_dump(exclude=_NOT_SETTINGS))
    return Content(settings, found, tags, dataset, variant_artifacts(name)), token


def points_of(
    name: str, seeds: Iterable[int], metrics: dict[str, float | str | None]
) -> list[Point]:
    """Collect a variant's metrics.

    - `train_loss` and the like, by epoch
    - `gradient/00-hidden.0.linear` and the like, ‖dL/dW‖ by traced step, in the layers' order
    - `loss`, of the batch, by traced step
    - `final/attenuation_init` and the like, what reports/metrics.json says

    Where there are several seeds, the first three stand under `seed-0/` and so on, and their means
    by epoch under the plain names.

    Returns:
        One point per metric and epoch or step.
    """
    history, trace = results.read("history", [name]), results.read("trace", [name])
    losses = results.read("losses", [name])
    traced = losses.merge(trace[["seed", "step"]].drop_duplicates())
    found: list[Point] = []
    seeds = list(seeds)
    for seed in seeds:
        before = points.prefix(seed, seeds)
        for row in _records(history, seed):
            found += points.of_epoch(row, before)
        found += points.of_trace(_records(trace, seed), before)
        batches = _records(traced, seed)
        found += [points.of_loss(row["step"], row["loss"], before) for row in batches]
    if len(seeds) > 1:
        means = history.groupby("epoch").mean(numeric_only=True).reset_index().assign(seed=0)
        for row in _records(means, 0):
            found += points.of_epoch(row, "")
    return found + [
        Point(f"final/{key}", value, 0)
        for key, value in metrics.items()
        if isinstance(value, float | int)
    ]


def _records(frame: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    own = frame[frame["seed"] == seed].to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in own]


def variant_artifacts(name: str) -> dict[Path, str]:
    """Return {file: folder among the artifacts}: a variant's tables, weights and figure."""
    tables = dict.fromkeys(_files(STATISTICS / name), "statistics")
    models = {
        path: str(Path("model") / path.parent.relative_to(MODELS / name))
        for path in _files(MODELS / name)
    }
    return tables | models | {card(name): "figures"}


def card(name: str) -> Path:
    """Return the path of the figure that shows one variant."""
    return REPORTS / "figures" / "variants" / f"{name}.png"


def report_artifacts() -> dict[Path, str]:
    """Return {file: folder among the artifacts} for the report and what it shows."""
    return {path: path.parent.as_posix() for path in _files(REPORTS)}


def flat(nested: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings by dots."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        items |= (
            flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
        )
    return items


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
