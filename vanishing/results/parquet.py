"""Parquet files of one schema: written whole or not at all, and read into one frame."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vanishing.errors import StudyError, in_one_line
from vanishing.files import replacing

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
Columns = Mapping[str, Any]  # {name: a sequence or an array}, all of the same length


def write_rows(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    """Write rows; a key that the schema lacks is an error.

    Raises:
        ValueError: If a row's keys are not exactly the schema's columns.
    """
    names = schema.names
    for row in rows:
        if set(row) != set(names):
            raise ValueError(f"{path}: a row has the keys {sorted(row)}, not {sorted(names)}")
    write_columns(path, {name: [row[name] for row in rows] for name in names}, schema)


def write_columns(path: Path, columns: Columns, schema: pa.Schema) -> None:
    """Write a table that is given as its columns.

    Raises:
        ValueError: If the keys are not exactly the schema's columns.
    """
    if set(columns) != set(schema.names):
        raise ValueError(f"{path}: has the keys {sorted(columns)}, not {sorted(schema.names)}")
    table = pa.Table.from_pydict(dict(columns), schema=schema)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(paths: Sequence[Path], schema: pa.Schema) -> "pd.DataFrame":
    """Read files into one frame, in the order given.

    Returns:
        A frame with the schema's columns.

    Raises:
        StudyError: If a file is missing, is not Parquet, or has other columns.
    """
    tables = []
    for path in paths:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            reason = in_one_line(error)
            raise StudyError(
                f"{path}: cannot be read ({reason}); restore it: dvc checkout, or dvc repro"
            ) from None
        if not table.schema.equals(schema):
            raise StudyError(
                f"{path}: has the columns {table.schema.names}, not {schema.names};"
                " reproduce it: dvc repro"
            )
        tables.append(table)
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame
