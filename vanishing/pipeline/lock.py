"""dvc.lock: what tells results from any others, and whether they are those that are here."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from vanishing.errors import StudyError
from vanishing.files import METRICS, read_json

LOCK = Path("dvc.lock")
REPORT = "Report"  # no variant can have this name: they are in lower case

Entry = dict[str, Any]


def entries(names: list[str]) -> dict[str, Entry]:
    """Look up what DVC has of variants and of the report.

    Args:
        names: Variants, or REPORT.

    Returns:
        {name: {stage: its command, dependencies, parameters and outputs, with their hashes}}.

    Raises:
        StudyError: If dvc.lock is missing, lacks a stage, or has other outputs than are here.
    """
    try:
        known = YAML(typ="safe", pure=True).load(LOCK)["stages"]
    except FileNotFoundError:
        raise StudyError(f"{LOCK}: missing; run: make repro") from None
    found = {name: {stage: known.get(stage) for stage in stages(name)} for name in names}
    for entry in found.values():
        for stage, locked in entry.items():
            if locked is None:
                raise StudyError(f"{LOCK}: has no stage {stage}; run: make repro")
            for out in locked["outs"]:
                if out["size"] != _size(Path(out["path"])):
                    raise StudyError(
                        f"{out['path']}: is not what {LOCK} has of it; run: make repro, or"
                        " dvc checkout"
                    )
    return found


def stages(name: str) -> list[str]:
    """Return the stages whose results a variant, or REPORT, is made of."""
    if name == REPORT:
        return ["diagnose", "render", "report"]
    return [f"train@{name}", f"extract@{name}"]


def identities(found: dict[str, Entry]) -> dict[str, str]:
    """Give what tells these results from any others: a digest of outputs and metrics.

    Of outputs alone, all of which `track` depends on (run.json has the parameters): code that was
    edited to no effect makes no new run, and DVC, which then leaves `track` out, is right to.

    Returns:
        {name: SHA-256}.
    """
    metrics = read_json(METRICS)
    return {
        name: digest([{stage: own["outs"] for stage, own in entry.items()}, metrics.get(name)])
        for name, entry in found.items()
    }


def digest(content: Any) -> str:
    """Return a SHA-256 over anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, as dvc.lock counts them."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)
