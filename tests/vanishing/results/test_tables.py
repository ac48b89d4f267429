"""The removal of leftovers."""

from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.files import write_text
from vanishing.results import tables as results


def test_leftovers_of_removed_variants_go_and_the_others_stay(workspace: Path) -> None:
    kept = ["models/relu/run.json", "data/statistics/relu/layers.parquet"]
    gone = [
        "models/old/run.json",
        "models/old/history.parquet",
        "models/old/trace.parquet",
        "models/old/seed-0/epoch-000.safetensors",
        "data/statistics/old/layers.parquet",
        "data/statistics/old/histograms.parquet",
    ]
    for name in kept + gone:
        write_text(workspace / name, "x")
    results.remove_leftovers(["relu"])
    left = [p.relative_to(workspace).as_posix() for p in workspace.rglob("*") if p.is_file()]
    assert sorted(left) == sorted([*kept, "params.yaml"])
    assert not (workspace / "models/old").exists()


def test_a_folder_with_foreign_files_is_refused_and_left_alone(workspace: Path) -> None:
    write_text(workspace / "models/mine/run.json", "x")
    write_text(workspace / "models/mine/notes.txt", "precious")
    (workspace / "data/statistics").mkdir(parents=True)
    with pytest.raises(StudyError, match=r"models/mine: .*notes\.txt"):
        results.remove_leftovers(["relu"])
    assert (workspace / "models/mine/run.json").exists()
