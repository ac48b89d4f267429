"""Tables by name: one frame over variants and seeds, in the order asked for."""

import math
from pathlib import Path

import pandas as pd
import pytest

from vanishing import paths
from vanishing.errors import StudyError
from vanishing.results import tables
from vanishing.results.schemas import SCHEMAS

LOSS = {"epoch": 1, "step": 1}
THEORY = {
    "depth": 3,
    "layer_index": 0,
    "quantity": "hop",
    "predicted": None,
    "measured": 0.5,
    "low": None,
    "high": None,
    "n": 1,
}


def test_every_table_has_a_schema_and_a_place() -> None:
    assert set(SCHEMAS) == {*paths.TABLES_BY_SEED, *paths.TABLES_BY_VARIANT}


def test_runs_come_in_the_order_of_variants_then_seeds(workspace: Path) -> None:
    for number, (variant, seed) in enumerate([("b", 3), ("a", 0), ("a", 3), ("b", 0)]):
        tables.write("losses", variant, [{**LOSS, "loss": float(number)}], seed)
    frame = tables.read("losses", ["b", "a"], [0, 3])
    assert frame[["variant", "seed"]].to_numpy().tolist() == [
        ["b", 0],
        ["b", 3],
        ["a", 0],
        ["a", 3],
    ]
    assert frame["loss"].tolist() == [3, 0, 1, 2]
    assert (workspace / "data/training/b/seed-3/losses.parquet").is_file()


def test_a_table_of_a_variant_has_one_file_whatever_the_seeds(workspace: Path) -> None:
    tables.write("theory", "a", [THEORY])
    frame = tables.read("theory", ["a"], [0, 1, 2])
    assert len(frame) == 1
    assert math.isnan(frame["predicted"].item())
    assert (workspace / "data/initialisation/a/theory.parquet").is_file()


def test_columns_and_rows_make_the_same_table(workspace: Path) -> None:
    tables.write("losses", "a", [{**LOSS, "loss": 1.5}, {**LOSS, "loss": 2.5}], 0)
    by_rows = (workspace / "data/training/a/seed-0/losses.parquet").read_bytes()
    pieces = [{"epoch": [1], "step": [1], "loss": [loss]} for loss in (1.5, 2.5)]
    tables.write_pieces("losses", "a", 0, pieces)
    assert (workspace / "data/training/a/seed-0/losses.parquet").read_bytes() == by_rows


def test_a_missing_run_is_named_with_its_remedy(workspace: Path) -> None:
    tables.write("losses", "a", [{**LOSS, "loss": 1.5}], 0)
    path = paths.table("losses", "a", 1)
    with pytest.raises(StudyError, match=f"{path}: cannot be read .*dvc repro"):
        tables.read("losses", ["a"], [0, 1])
    assert not (workspace / path).exists()


def test_select_takes_one_statistic_of_one_tensor() -> None:
    rows = [("weight", "rms", 1.0), ("weight", "std", 2.0), ("activation", "rms", 3.0)]
    frame = pd.DataFrame(rows, columns=["tensor", "statistic", "value"])
    assert tables.select(frame, "weight", "rms")["value"].tolist() == [1.0]
