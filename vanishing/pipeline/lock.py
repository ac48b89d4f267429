"""dvc.lock: what DVC recorded of the stages that it ran last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError
from vanishing.paths import LOCK, MODELS

Entry = dict[str, dict[str, Any]]  # {stage: its cmd, deps, params and outs, as in dvc.lock}


class Lock(NamedTuple):
    """The stages of dvc.lock.

    Each method returns the entry of the stages that wrote one set of results. It raises a
    StudyError if dvc.lock lacks such a stage, or if an output differs in size from the one that
    dvc.lock records. Weights may be missing: a clone may have the tables alone.
    """

    stages: Mapping[str, Any]

    def of_run(self, variant: str, seed: int) -> Entry:
        """Return the entry of one training run."""
        return self._entry([f"train@{variant}-{seed}", f"extract@{variant}-{seed}"])

    def of_variant(self, variant: str) -> Entry:
        """Return the entry of what needs no training."""
        return self._entry([f"initialise@{variant}"])

    def of_report(self) -> Entry:
        """Return the entry of everything in reports/."""
        return self._entry(["diagnose", "render", "report"])

    def _entry(self, stages: Sequence[str]) -> Entry:
        entry = {}
        for stage in stages:
            if stage not in self.stages:
                raise StudyError(f"{LOCK}: has no stage {stage}; run: make repro")
            entry[stage] = self.stages[stage]
            for out in entry[stage]["outs"]:
                path = Path(out["path"])
                without_weights = MODELS in path.parents and not path.exists()
                if not without_weights and out["size"] != _size(path):
                    raise StudyError(
                        f"{path}: differs from what {LOCK} records; run: make repro, or"
                        " dvc checkout"
                    )
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
        reason = " ".join(str(error).split())
        raise StudyError(f"{LOCK}: cannot be read ({reason}); run: make repro") from None


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, as DVC counts them."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
