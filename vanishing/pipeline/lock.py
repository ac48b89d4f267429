"""dvc.lock: what DVC recorded of the stages that it ran last."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, in_one_line
from vanishing.paths import FINGERPRINTS, LOCK, MODELS

Entry = dict[str, dict[str, Any]]  # {stage: its cmd, deps, params and outs, as in dvc.lock}


class Lock(NamedTuple):
    """The stages of dvc.lock.

    Each method returns the entry of the stages that wrote one set of results. It raises a
    StudyError if dvc.lock lacks such a stage, or if an output differs from the one that dvc.lock
    records. Weights may be missing, as a clone may have the tables alone; they are compared by
    their size alone, and by `check_weights`.
    """

    stages: Mapping[str, Any]

    def of_run(self, variant: str, seed: int) -> Entry:
        """Return the entry of one training run."""
        return self._entry([f"train@{variant}-{seed}", f"extract@{variant}-{seed}"])

    def of_variant(self, variant: str) -> Entry:
        """Return the entry of what needs no training."""
        return self._entry([f"initialise@{variant}"])

    def of_report(self) -> Entry:
        """Return the entry of everything in reports/; it has to be made of the results here."""
        entry = self._entry(["diagnose", "render", "report"])
        for stage, locked in entry.items():
            for dependency in locked.get("deps", []):
                path = Path(dependency["path"])
                is_result = FINGERPRINTS not in path.parents and ".." not in path.parts
                if is_result and path.exists() and dependency["md5"] != output_digest(path):
                    raise StudyError(
                        f"{path}: is not what `{stage}` was run with, so that reports/ is of other"
                        " results; run: make repro"
                    )
        return entry

    def check_weights(self) -> None:
        """Compare the weights that are here with dvc.lock.

        Raises:
            StudyError: If a file differs.
        """
        for locked in self.stages.values():
            for out in locked.get("outs", []):
                path = Path(out["path"])
                if MODELS in path.parents and path.exists() and out["md5"] != output_digest(path):
                    raise StudyError(_differs(path))

    def _entry(self, stages: Sequence[str]) -> Entry:
        entry = {}
        for stage in stages:
            if stage not in self.stages:
                raise StudyError(f"{LOCK}: has no stage {stage}; run: make repro")
            entry[stage] = self.stages[stage]
            for out in entry[stage]["outs"]:
                path = Path(out["path"])
                if MODELS not in path.parents:
                    same = path.exists() and out["md5"] == output_digest(path)
                else:
                    same = not path.exists() or out["size"] == _size(path)
                if not same:
                    raise StudyError(_differs(path))
        return entry


def read() -> Lock:
    """Read dvc.lock.

    Returns:
        Its stages, none of them checked yet.

    Raises:
        StudyError: If it is missing or damaged.
    """
    try:
        return Lock(YAML(typ="safe").load(LOCK)["stages"])
    except FileNotFoundError:
        raise StudyError(f"{LOCK}: missing; run: make repro") from None
    except (OSError, YAMLError, TypeError, KeyError) as error:
        reason = in_one_line(error)
        raise StudyError(
            f"{LOCK}: cannot be read ({reason}); take that of a commit, as by"
            f" `git checkout HEAD -- {LOCK}`, and run: make repro"
        ) from None


def output_digest(path: Path) -> str:
    """Return the MD5 of a file or a folder, as DVC has it in dvc.lock.

    That of a folder is the MD5 of a JSON list of {md5, relpath} of its files in the order of their
    paths, with `.dir` at its end.
    """
    if not path.is_dir():
        return _md5(path)
    files = sorted(
        (file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()
    )
    listing = [{"md5": _md5(file), "relpath": name} for name, file in files]
    return f"{text_digest(json.dumps(listing, sort_keys=True))}.dir"


def text_digest(text: str) -> str:
    """Return the MD5 of a text file, as DVC has it in dvc.lock."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _differs(path: Path) -> str:
    return f"{path}: differs from what {LOCK} records; run: make repro, or dvc checkout"


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, as DVC counts them."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
