"""Name the stages that dvc.lock is behind on, data or no data: `python -m tools.stale`.

In: dvc.yaml, dvc.lock, params.yaml and the code. Out: a line per stale stage with what changed, and
then exit status 1. Data that are not here (a clone in continuous integration has none) are taken to
be what dvc.lock says. `dvc repro --dry --allow-missing` ends with an error instead at the first
stage that is stale and whose data are missing.
"""

import json
import subprocess
import sys
from typing import Any

from ruamel.yaml import YAML

from vanishing.errors import StudyError, run_command
from vanishing.files import VALIDATED
from vanishing.pipeline.lock import LOCK


def main(_argv: list[str]) -> None:
    """Ask DVC, leave out what is only missing, and follow what is not.

    Raises:
        StudyError: If a stage is stale, or DVC fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StudyError(f"dvc status failed: {done.stderr.strip()}")
    locked = YAML(typ="safe", pure=True).load(LOCK)["stages"]
    stale = followed(direct(json.loads(done.stdout)), locked)
    if stale:
        lines = [f"{LOCK}: {stage} is stale: {why}" for stage, why in stale.items()]
        raise StudyError("\n".join([*lines, "run: make repro, and commit dvc.lock and reports/"]))
    print(f"{LOCK} is up to date")


def direct(status: dict[str, list[Any]]) -> dict[str, str]:
    """Return {stage: what changed} for stages of which something changed that is not just missing.

    Args:
        status: What `dvc status --json` prints.
    """
    stale = {}
    for stage, entries in status.items():
        causes: list[str] = []
        for entry in entries:
            if isinstance(entry, str):
                causes.append(entry)  # "changed command", for one
                continue
            for changes in entry.values():
                for path, change in changes.items():
                    if isinstance(change, dict):  # parameters
                        causes += [f"{key} {how}" for key, how in change.items()]
                    elif change not in {"deleted", "not in cache"}:
                        causes.append(f"{path} {change}")
        if causes:
            stale[stage] = ", ".join(causes)
    return stale


def followed(stale: dict[str, str], locked: dict[str, Any]) -> dict[str, str]:
    """Add the stages that depend on what stale ones write, but for what never changes."""
    found = dict(stale)
    waiting = list(stale)
    for other in waiting:  # which grows meanwhile
        for out in locked.get(other, {}).get("outs", []):
            if out["path"] == str(VALIDATED):
                continue
            for stage, entry in locked.items():
                needs = [dep["path"] for dep in entry.get("deps", [])]
                if stage not in found and any(f"{out['path']}/".startswith(f"{n}/") for n in needs):
                    found[stage] = f"needs {out['path']} of {other}"
                    waiting.append(stage)
    return found


if __name__ == "__main__":
    sys.exit(run_command(main))
