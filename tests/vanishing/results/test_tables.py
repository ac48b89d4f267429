"""What is derived from the tables, and the removal of leftovers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanishing.errors import StudyError
from vanishing.files import write_text
from vanishing.results import schemas as tables
from vanishing.results import tables as results


def layers(rms: dict[str, list[float]]) -> pd.DataFrame:
    """Return rows of layers.parquet with the given rms of dL/dz by variant and layer."""
    rows = [
        (variant, 0, 0, 0, index, f"layer{index}", "backpropagated_gradient", "rms", value)
        for variant, values in rms.items()
        for index, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=tables.LAYERS.names)


def test_ratio_is_first_over_last_hidden_layer_whatever_the_depth() -> None:
    frame = layers({"deep": [1e-6, 1e-4, 1e-2, 5.0], "shallow": [0.3, 7.0], "other": [4, 2, 9]})
    found = results.first_over_last_hidden(frame, "backpropagated_gradient", "rms").droplevel(
        ["seed", "epoch"]
    )
    assert found.to_dict() == pytest.approx({"deep": 1e-4, "shallow": 1.0, "other": 2.0})


def test_ratio_of_a_dead_gradient_is_nan_or_zero_or_infinite() -> None:
    frame = layers({"dead": [0, 0, 1], "vanished": [0, 1, 1], "odd": [1, 0, 1]})
    found = results.first_over_last_hidden(frame, "backpropagated_gradient", "rms").droplevel(
        ["seed", "epoch"]
    )
    assert np.isnan(found["dead"])
    assert found["vanished"] == 0
    assert found["odd"] == np.inf


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
