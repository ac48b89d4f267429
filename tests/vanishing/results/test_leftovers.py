"""Outputs of removed variants and seeds go; files that no stage wrote stay."""

from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.files import write_text
from vanishing.results.leftovers import remove_leftovers

KEPT = [
    "data/initialisation/relu/theory.parquet",
    "data/statistics/relu/seed-0/layers.parquet",
    "data/training/relu/seed-0/run.json",
    "models/relu/seed-0/epoch-000.safetensors",
]
REMOVED = [
    "data/initialisation/old/theory.parquet",
    "data/statistics/old/seed-0/layers.parquet",
    "data/statistics/relu/seed-1/units.parquet",
    "data/training/old/seed-0/run.json",
    "data/training/relu/seed-1/history.parquet",
    "models/old/seed-0/epoch-000.safetensors",
    "models/relu/seed-1/epoch-000.safetensors",
    "models/relu/history.parquet",  # of a version that had no folder per seed
]


def files(folder: Path) -> list[str]:
    """Return the paths of all files but params.yaml, in order."""
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return sorted(set(paths) - {"params.yaml"})


def test_outputs_of_removed_variants_and_seeds_go_and_the_others_stay(workspace: Path) -> None:
    for name in KEPT + REMOVED:
        write_text(workspace / name, "x")
    remove_leftovers(["relu"], [0])
    assert files(workspace) == KEPT
    assert not (workspace / "models/old").exists()
    assert not (workspace / "data/training/relu/seed-1").exists()


@pytest.mark.parametrize("folder", ["models/mine", "data/statistics/relu/seed-7"])
def test_a_folder_with_a_file_of_somebody_else_is_refused_and_left_alone(
    workspace: Path, folder: str
) -> None:
    names = [f"{folder}/notes.txt", f"{folder}/run.json", *REMOVED]
    for name in names:
        write_text(workspace / name, "precious")
    with pytest.raises(StudyError, match=rf"{folder}: .*notes\.txt, which no stage writes"):
        remove_leftovers(["relu"], [0])
    assert files(workspace) == sorted(names)


def test_a_study_without_results_has_no_leftovers(workspace: Path) -> None:
    remove_leftovers(["relu"], [0])
    assert files(workspace) == []
