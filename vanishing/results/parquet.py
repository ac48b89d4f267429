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
    columns = {name: [row[name] for row in rows] for name in names}
    write(path, pa.Table.from_pydict(columns, schema=schema))


def write(path: Path, table: pa.Table) -> None:
    """Write a table, whole or not at all."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def of_run(variant: str, seed: int, pieces: Sequence[Columns], schema: pa.Schema) -> pa.Table:
    """Make a table of one training run.

    Args:
        variant: Becomes the column `variant`.
        seed: Becomes the column `seed`.
        pieces: Columns, each with `step`, that follow one another.
        schema: Of the table.

    Returns:
        The rows of all pieces; without pieces none.

    Raises:
        ValueError: If a piece's keys are not the schema's other columns.
    """
    tables = [schema.empty_table()]
    names = set(schema.names) - {"variant", "seed"}
    for piece in pieces:
        if set(piece) != names:
            raise ValueError(f"a piece has the columns {sorted(piece)}, not {sorted(names)}")
        size = len(piece["step"])
        run = {"variant": pa.repeat(variant, size), "seed": pa.repeat(seed, size)}
        tables.append(pa.Table.from_pydict({**run, **piece}, schema=schema))
    return pa.concat_tables(tables)


def read_file(path: Path) -> pa.Table:
    """Read one file.

    Returns:
        Its table.

    Raises:
        StudyError: If it is missing or is not Parquet.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise StudyError(f"{path}: cannot be read ({in_one_line(error)})") from None


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
            table = read_file(path)
        except StudyError as error:
            raise StudyError(f"{error}; restore it: dvc repro") from None
        if not table.schema.equals(schema):
            raise StudyError(
                f"{path}: has the columns {table.schema.names}, not {schema.names};"
                " reproduce it: dvc repro"
            )
        tables.append(table)
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame
