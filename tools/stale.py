"""Name the stages that dvc.lock is behind on, data or no data: `python -m tools.stale`.

In: dvc.yaml, dvc.lock, params.yaml and the code. Out: a line per stale stage with its reason, and
then exit status 1. Data that are missing (a clone in continuous integration has none) are taken to
be those of dvc.lock. `dvc repro --dry --allow-missing` ends with an error at the first stage that
is stale and whose data are missing.
"""

import hashlib
import json
import subprocess
import sys
from itertools import product
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing import paths
from vanishing.errors import StudyError, run_command
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.pipeline.fingerprint import differences, fingerprints

FINGERPRINT = "fingerprint"  # the stage


def main(_argv: list[str]) -> None:
    """Print whether dvc.lock is up to date.

    Raises:
        StudyError: If a stage is stale, or DVC fails.
    """
    stale = stale_stages(dvc_status())
    if stale:
        lines = [f"{paths.LOCK}: {stage} is stale: {reason}" for stage, reason in stale.items()]
        raise StudyError("\n".join([*lines, "run: make repro, and commit dvc.lock and reports/"]))
    print(f"{paths.LOCK} is up to date")


def dvc_status() -> dict[str, list[Any]]:
    """Return what `dvc status` says of the study in the working directory.

    Returns:
        {stage: its changes}.

    Raises:
        StudyError: If DVC fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", str(paths.PIPELINE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StudyError(f"dvc status failed: {done.stderr.strip()}")
    status: dict[str, list[Any]] = json.loads(done.stdout)
    return {stage.rpartition(":")[2]: changes for stage, changes in status.items()}


def stale_stages(status: dict[str, list[Any]]) -> dict[str, str]:
    """Return {stage: reason} of the stages that dvc.lock is behind on.

    The stage `fingerprint` is not among them: an edit of a comment changes its dependencies and no
    fingerprint, and so nothing that a result depends on.

    Args:
        status: As `dvc_status` returns it.
    """
    names = pipeline_stages()
    locked = {stage: entry for stage, entry in locked_stages().items() if stage in set(names)}
    stale = _changed_code(locked)
    for stage, reason in changed(status).items():
        stale[stage] = f"{stale[stage]}, {reason}" if stage in stale else reason
    stale.pop(FINGERPRINT, None)
    reasons = _with_dependents(stale, locked)
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


def locked_stages() -> dict[str, Any]:
    """Return the stages of dvc.lock; none where it is missing.

    Raises:
        StudyError: If it is damaged.
    """
    try:
        return dict(YAML(typ="safe", pure=True).load(paths.LOCK)["stages"])
    except FileNotFoundError:
        return {}
    except (YAMLError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise StudyError(f"{paths.LOCK}: is damaged ({reason}); restore it from Git") from None


def changed(status: dict[str, list[Any]]) -> dict[str, str]:
    """Return {stage: reason} where something changed, and is not just missing.

    Fingerprints are left out: their files are as old as the last run of the stage that takes them.

    Args:
        status: As `dvc_status` returns it.
    """
    stale = {}
    for stage, entries in status.items():
        reasons: list[str] = []
        for entry in entries:
            if isinstance(entry, str):
                reasons.append(entry)  # "changed command", for example
                continue
            for changes in entry.values():
                for path, change in changes.items():
                    if isinstance(change, dict):  # parameters
                        reasons += [f"{key} {how}" for key, how in change.items()]
                    elif change not in {"deleted", "not in cache"} and not _is_fingerprint(path):
                        reasons.append(f"{path} {change}")
        if reasons:
            stale[stage] = ", ".join(reasons)
    return stale


def _is_fingerprint(path: str) -> bool:
    return f"{path}/".startswith(f"{paths.FINGERPRINTS}/")


def _changed_code(locked: dict[str, Any]) -> dict[str, str]:
    """Return {stage: the definitions that changed} where the code is not that of dvc.lock."""
    stale = {}
    texts = {str(path): (path, text) for path, text in fingerprints(load(Study)).items()}
    for stage, entry in locked.items():
        names: list[str] = []
        for dependency in entry.get("deps", []):
            path, text = texts.get(dependency["path"], (None, ""))
            digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            if path is not None and digest != dependency["md5"]:
                before = path.read_text("utf-8") if path.is_file() else ""
                old = hashlib.md5(before.encode(), usedforsecurity=False).hexdigest()
                known = old == dependency["md5"]
                names += differences(before, text) if known else ["its code"]
        if names:
            stale[stage] = f"{', '.join(names)} changed"
    return stale


def _with_dependents(stale: dict[str, str], locked: dict[str, Any]) -> dict[str, str]:
    """Add the stages that depend on outputs of stale ones, except on the output of `validate`."""
    reasons = dict(stale)
    waiting = list(stale)
    for upstream in waiting:  # which grows meanwhile
        for out in locked.get(upstream, {}).get("outs", []):
            if out["path"] == str(paths.VALIDATED):  # never changes
                continue
            for stage, entry in locked.items():
                needs = [dependency["path"] for dependency in entry.get("deps", [])]
                if stage not in reasons and any(_overlap(out["path"], need) for need in needs):
                    reasons[stage] = f"needs {out['path']} of {upstream}"
                    waiting.append(stage)
    return reasons


def _overlap(one: str, other: str) -> bool:
    """Tell whether one of two paths is the other, or is in it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


if __name__ == "__main__":
    sys.exit(run_command(main))
