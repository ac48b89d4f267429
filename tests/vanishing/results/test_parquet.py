"""Parquet files: the round trip, and the refusal of others."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vanishing.errors import StudyError
from vanishing.results import parquet
from vanishing.results.schemas import TRACE

ROW = {
    "variant": "v",
    "seed": 0,
    "step": 3,
    "layer_index": 1,
    "layer": "output",
    "tensor": "weight",
    "statistic": "l2_norm",
    "value": 0.1,
}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"value": math.inf}, ROW | {"value": 5e-324}, ROW | {"value": -0.0}]
    parquet.write_rows(tmp_path / "t.parquet", rows, TRACE)
    frame = parquet.read([tmp_path / "t.parquet"], TRACE)
    assert frame.to_dict("records") == rows


def test_nan_comes_back_as_nan_not_as_missing(tmp_path: Path) -> None:
    parquet.write_rows(tmp_path / "t.parquet", [ROW | {"value": math.nan}], TRACE)
    column = pq.read_table(tmp_path / "t.parquet")["value"]
    assert column.null_count == 0
    assert math.isnan(column[0].as_py())


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        parquet.write_rows(tmp_path / name, [ROW], TRACE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_row_with_other_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a row has the keys"):
        parquet.write_rows(tmp_path / "t", [{**ROW, "more": 1}], TRACE)
    assert not (tmp_path / "t").exists()


def test_a_damaged_or_foreign_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    damaged, foreign = tmp_path / "damaged.parquet", tmp_path / "foreign.parquet"
    damaged.write_bytes(b"PAR1 nothing more")
    pq.write_table(pa.table({"x": [1]}), foreign)
    for path in (damaged, foreign, tmp_path / "missing.parquet"):
        with pytest.raises(StudyError, match="dvc repro") as error:
            parquet.read([path], TRACE)
        assert str(path) in str(error.value)
