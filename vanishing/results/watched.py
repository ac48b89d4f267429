"""The folder of a watched training: run.json and tables, in numbered parts while it goes on.

`trace`, `trace_histograms`, `losses` and `units` are the study's tables, with the folder's name as
`variant` and 0 as `seed`. A flush writes a part of each table, `trace-0001.parquet`; the end joins
them into `trace.parquet`. After a crash the parts are there up to the last flush; `read_run` joins
them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vanishing.errors import StudyError, did_you_mean
from vanishing.files import replacing, write_json
from vanishing.results import parquet
from vanishing.results.factors import WATCHED_FACTORS
from vanishing.results.schemas import (
    HEADS,
    LOSSES,
    PARAMETERS,
    STEPS,
    TRACE,
    TRACE_HISTOGRAMS,
    UNITS,
)

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "trace": TRACE,
    "trace_histograms": TRACE_HISTOGRAMS,
    "losses": LOSSES,
    "steps": STEPS,
    "parameters": PARAMETERS,
    "units": UNITS,
    "heads": HEADS,
    "factors": WATCHED_FACTORS,
}


KIND = "watched"  # of run.json


def record_path(folder: Path) -> Path:
    """Return the path of the description of a run."""
    return folder / "run.json"


def table_path(folder: Path, table: str, part: int | None = None) -> Path:
    """Return the path of a table, or of one of its parts; 1 is the first."""
    return folder / (f"{table}.parquet" if part is None else f"{table}-{part:04d}.parquet")


def paths_of(folder: Path) -> list[Path]:
    """Return the paths of all that a training leaves in a folder when it has ended."""
    return [record_path(folder), *(table_path(folder, table) for table in TABLES)]


def begin(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the description of a run into a folder that holds none.

    Raises:
        StudyError: If the folder holds a run, or cannot be written.
    """
    if record_path(folder).exists():
        raise StudyError(f"{folder}: holds a run already; name another folder, or remove this one")
    write_json(record_path(folder), record)


def write_parts(folder: Path, part: int, tables: Mapping[str, Sequence[parquet.Columns]]) -> None:
    """Write a part of each table, or nothing where there are no rows.

    Args:
        folder: Of the run.
        part: Its number.
        tables: {a key of TABLES: columns without `variant` and `seed`, in pieces that follow one
            another}.
    """
    for table, pieces in tables.items():
        rows = parquet.of_run(folder.resolve().name, 0, pieces, TABLES[table])
        if rows.num_rows:
            parquet.write(table_path(folder, table, part), rows)


def join(folder: Path) -> None:
    """Join the parts of every table into one file, and remove them."""
    for table, schema in TABLES.items():
        parts = _parts(folder, table)
        with (
            replacing(table_path(folder, table)) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for part in parts:
                writer.write_table(parquet.read_file(part))
        for part in parts:  # one that a kill leaves here is not read any more
            part.unlink()


def read_run(folder: str | Path, table: str) -> "pd.DataFrame":
    """Read a table of a watched training, whether it has ended, goes on, or crashed.

    A StudyError says that the folder holds no run, a file is damaged, or there is no such table.

    Args:
        folder: Of the run.
        table: `trace`, `trace_histograms`, `losses`, `steps`, `parameters`, `units`, `heads` or
            `factors`.

    Returns:
        A frame with the table's columns; without rows before the first flush.
    """
    frame: pd.DataFrame = read_table(folder, table).to_pandas()
    return frame


def read_table(folder: str | Path, table: str) -> pa.Table:
    """Read a table as `read_run` does, as Arrow has it: a null stays a null.

    Returns:
        The table.

    Raises:
        StudyError: If the folder holds no run, a file is damaged, or there is no such table.
    """
    if table not in TABLES:
        hint = did_you_mean(table, TABLES)
        raise StudyError(f"{table} is no table of a run{hint}; there are {', '.join(TABLES)}")
    return read_rows(Path(folder), table, TABLES[table])


def read_rows(folder: Path, table: str, schema: pa.Schema) -> pa.Table:
    """Read a table of a run that has a schema.

    Returns:
        The table; without rows before the first flush.

    Raises:
        StudyError: If the folder holds no run, or a file is damaged or has other columns.
    """
    if not record_path(folder).exists():
        raise StudyError(f"{folder}: holds no run; vanishing.watch(…, folder=…) writes one")
    whole = table_path(folder, table)
    files = [whole] if whole.exists() else _parts(folder, table)
    parts = [schema.empty_table(), *map(parquet.read_file, files)]
    for file, part in zip(files, parts[1:], strict=True):
        if not part.schema.equals(schema):
            raise StudyError(f"{file}: has the columns {part.schema.names}, not {schema.names}")
    return pa.concat_tables(parts)


def _parts(folder: Path, table: str) -> list[Path]:
    parts = folder.glob(f"{table}-*.parquet")
    return sorted(parts, key=lambda path: int(path.stem.rpartition("-")[2]))
