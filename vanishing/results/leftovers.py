"""The outputs of variants and seeds that params.yaml no longer has: removed.

DVC leaves the outputs of a removed stage in place. There they would count as a part of the folders
that later stages depend on, so that dvc.lock would differ from a fresh clone's. They stay in DVC's
cache.
"""

from collections.abc import Iterable
from pathlib import Path

from vanishing.errors import StudyError
from vanishing.paths import (
    INITIALISATION,
    MODELS,
    STATISTICS,
    TABLES_BY_SEED,
    TABLES_BY_VARIANT,
    TRAINING,
    run_folder,
    run_record,
)


def remove_leftovers(variants: Iterable[str], seeds: Iterable[int]) -> None:
    """Remove the stages' outputs that belong to no variant and seed of params.yaml.

    Args:
        variants: Those of params.yaml.
        seeds: Those of params.yaml.

    Raises:
        StudyError: If one of their files is not one that a stage writes; nothing is removed then.
    """
    runs = [(variant, seed) for variant in variants for seed in seeds]
    current = {
        run_folder(folder, *run) for folder in (MODELS, TRAINING, STATISTICS) for run in runs
    }
    current |= {INITIALISATION / variant for variant, _ in runs}
    leftovers = [
        path
        for parent in (MODELS, TRAINING, STATISTICS, INITIALISATION)
        for path in sorted(parent.rglob("*"))
        if path.is_file() and current.isdisjoint(path.parents)
    ]
    names = {run_record("", 0).name}
    names |= {f"{table}.parquet" for table in (*TABLES_BY_SEED, *TABLES_BY_VARIANT)}
    for path in leftovers:
        if path.name not in names and path.suffix != ".safetensors":
            raise StudyError(
                f"{path.parent}: belongs to no variant and seed of params.yaml, but holds"
                f" {path.name}, which no stage writes; move it elsewhere or delete the folder"
            )
    for path in leftovers:
        path.unlink()
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those above it that are empty, up to the stage's folder."""
    while folder not in {MODELS, TRAINING, STATISTICS, INITIALISATION} and not any(
        folder.iterdir()
    ):
        folder.rmdir()
        folder = folder.parent
