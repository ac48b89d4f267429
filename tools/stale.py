"""Name the stages that dvc.lock is behind on, data or no data: `python -m tools.stale`.

In: dvc.yaml, dvc.lock, params.yaml and the code. Out: a line per stale stage with its reason, and
then exit status 1. Missing data (a clone in continuous integration has none) are taken to be those
of dvc.lock. `dvc repro --dry --allow-missing` ends with an error at the first stage that is stale
and whose data are missing.
"""

import sys
from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from vanishing import paths
from vanishing.errors import StudyError, in_one_line, name_first, run_command
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.pipeline import lock
from vanishing.pipeline.fingerprint import differences, fingerprints

# Stages:
FINGERPRINT = "fingerprint"
VALIDATE = "validate"
JUDGING = "diagnose"  # it writes metrics and verdicts
MISSING = frozenset({"deleted", "not in cache"})  # DVC's words for a file that is not there

# {stage: its changes}. A change is a text, such as "changed command", or a mapping of "changed
# deps" or "changed outs" to {path: "modified" and the like}; parameters: {file: {key: "modified"}}.
Status = Mapping[str, list[Any]]
Locked = Mapping[str, Mapping[str, Any]]  # {stage: its entry in dvc.lock}


def main(_argv: list[str]) -> None:
    """Print whether dvc.lock is up to date.

    Raises:
        StudyError: If a stage is stale, or DVC fails.
    """
    reasons = stale_stages(dvc_status())
    if reasons:
        lines = [f"{paths.LOCK}: {stage} is stale: {reason}" for stage, reason in reasons.items()]
        raise StudyError("\n".join([*lines, "run: make repro, and commit dvc.lock and reports/"]))
    print(f"{paths.LOCK} is up to date")


def dvc_status(targets: Collection[str] = ()) -> Status:
    """Return what `dvc status` says of the study in the working directory.

    Args:
        targets: Stages, with which come those that they depend on; none for all.

    Raises:
        StudyError: If DVC fails.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 - slow, and not always needed
    from dvc.repo import Repo  # noqa: PLC0415

    locked_stages()  # a damaged dvc.lock ends here, with the remedy
    try:
        with Repo() as repo:
            status = repo.status(targets or [str(paths.PIPELINE)], with_deps=bool(targets))
    except DvcException as error:
        reason = in_one_line(error)
        raise StudyError(f"{reason}; `dvc status` says where") from None
    return {stage.rpartition(":")[2]: changes for stage, changes in status.items()}


def stale_stages(status: Status) -> dict[str, str]:
    """Return {stage: reason} of the stages that dvc.lock is behind on, in the order of dvc.yaml.

    The stage `fingerprint` is not among them: an edit of a comment changes its dependencies and no
    fingerprint, and so nothing that a result depends on.

    Args:
        status: As `dvc_status` returns it.
    """
    names = pipeline_stages()
    known = locked_stages()
    locked = {stage: known[stage] for stage in names if stage in known}
    reasons = changed_code(locked)
    for stage, reason in changed_inputs(status).items():
        reasons[stage] = f"{reasons[stage]}, {reason}" if stage in reasons else reason
    reasons.pop(FINGERPRINT, None)
    reasons = with_dependents(reasons, locked)
    return {stage: reasons[stage] for stage in names if stage in reasons}


def pipeline_stages() -> list[str]:
    """Return the stages of the study in the working directory, in the order of dvc.yaml."""
    study = load(Study)
    values = {"variant": list(study.variants), "seed": [str(seed) for seed in study.train.seeds]}
    names = []
    for stage, entry in YAML(typ="safe").load(paths.PIPELINE)["stages"].items():
        items = product(*(values[key] for key in entry.get("matrix", ())))
        names += [f"{stage}@{'-'.join(item)}" if item else stage for item in items]
    return names


def locked_stages() -> Locked:
    """Return the stages of dvc.lock; none where it is missing."""
    return lock.read().stages if paths.LOCK.exists() else {}


def changed_inputs(status: Status) -> dict[str, str]:
    """Return {stage: reason} where something changed, and is not just missing.

    Fingerprints are left out: their files are as old as the last run of the stage that takes them.

    Args:
        status: As `dvc_status` returns it.
    """
    stale = {}
    for stage, changes in status.items():
        reasons = [reason for change in changes for reason in _reasons(change)]
        if reasons:
            stale[stage] = ", ".join(reasons)
    return stale


def _reasons(change: str | Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write one change of a stage's status in words."""
    if isinstance(change, str):
        return [change]
    reasons = []
    for changes in change.values():
        for path, kind in changes.items():
            if isinstance(kind, Mapping):  # parameters
                reasons += [f"{key} {kind_of_key}" for key, kind_of_key in kind.items()]
            elif kind not in MISSING and not _overlap(path, str(paths.FINGERPRINTS)):
                reasons.append(f"{path} {kind}")
    return reasons


def changed_code(locked: Locked) -> dict[str, str]:
    """Return {stage: the definitions that changed} where the code is not that of dvc.lock.

    Args:
        locked: Stages of dvc.lock.
    """
    dependencies = [
        (stage, dependency["path"], dependency["md5"])
        for stage, entry in locked.items()
        for dependency in entry.get("deps", [])
    ]
    texts = {str(path): text for path, text in fingerprints(load(Judged)).items()}
    changed = {
        path: _changed_definitions(Path(path), texts[path], md5)
        for _, path, md5 in dependencies
        if path in texts and lock.text_digest(texts[path]) != md5
    }
    stale: dict[str, list[str]] = {}
    for stage, path, _ in dependencies:
        names = [name for other in changed if _overlap(other, path) for name in changed[other]]
        if names:
            stale[stage] = list(dict.fromkeys([*stale.get(stage, ()), *names]))
    return {stage: f"{name_first(names)} changed" for stage, names in stale.items()}


def _changed_definitions(path: Path, text: str, locked_md5: str) -> list[str]:
    """Name the definitions that changed, if the file is still there that dvc.lock knows."""
    before = path.read_text("utf-8") if path.is_file() else ""
    return differences(before, text) if lock.text_digest(before) == locked_md5 else ["its code"]


def with_dependents(reasons: Mapping[str, str], locked: Locked) -> dict[str, str]:
    """Add the stages that depend on outputs of stale ones.

    The output of `validate` does not count: it never changes.

    Args:
        reasons: {stage: reason} of stale stages.
        locked: The stages of dvc.lock.

    Returns:
        {stage: reason} of all stale stages.
    """
    complete = dict(reasons)
    waiting = list(reasons)
    for upstream in waiting:  # grows meanwhile
        outs = [out["path"] for out in locked.get(upstream, {}).get("outs", [])]
        for out in outs:
            if out == str(paths.VALIDATED):
                continue
            for stage, entry in locked.items():
                inputs = [dependency["path"] for dependency in entry.get("deps", [])]
                if stage not in complete and any(_overlap(out, path) for path in inputs):
                    complete[stage] = f"needs {out} of {upstream}"
                    waiting.append(stage)
    return complete


def _overlap(one: str, other: str) -> bool:
    """Tell whether one of two paths is the other, or is in it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


if __name__ == "__main__":
    sys.exit(run_command(main))
