"""The Parquet files: their schemas, which are a public contract, and how they are written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vanishing.errors import StudyError
from vanishing.files import replacing

if TYPE_CHECKING:
    import pandas as pd

_RUN = [("variant", pa.string()), ("seed", pa.int64())]
_WHERE = [("layer_index", pa.int64()), ("layer", pa.string()), ("tensor", pa.string())]
_WHEN = [("epoch", pa.int64()), ("step", pa.int64())]

HISTORY = pa.schema(
    [
        *_RUN,
        *_WHEN,
        ("train_loss", pa.float64()),
        ("train_accuracy", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_accuracy", pa.float64()),
        ("train_loss_end", pa.float64()),
        ("train_accuracy_end", pa.float64()),
    ]
)
LOSSES = pa.schema([*_RUN, *_WHEN, ("loss", pa.float64())])
TRACE = pa.schema(
    [*_RUN, ("step", pa.int64()), *_WHERE, ("statistic", pa.string()), ("value", pa.float64())]
)
TRACE_HISTOGRAMS = pa.schema(
    [
        *_RUN,
        ("step", pa.int64()),
        *_WHERE,
        ("bin_left", pa.float64()),
        ("bin_right", pa.float64()),
        ("count", pa.int64()),
    ]
)
LAYERS = pa.schema([*_RUN, *_WHEN, *_WHERE, ("statistic", pa.string()), ("value", pa.float64())])
INITIALISATIONS = pa.schema(
    [
        ("variant", pa.string()),
        ("depth", pa.int64()),
        ("seed", pa.int64()),
        *_WHERE,
        ("statistic", pa.string()),
        ("value", pa.float64()),
    ]
)
THEORY = pa.schema(
    [
        ("variant", pa.string()),
        ("depth", pa.int64()),
        ("layer_index", pa.int64()),
        ("quantity", pa.string()),
        ("predicted", pa.float64()),  # null where there is no theory
        ("measured", pa.float64()),
        ("low", pa.float64()),  # null where n is 1
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)
UNITS = pa.schema(
    [
        *_RUN,
        *_WHEN,
        ("layer_index", pa.int64()),
        ("layer", pa.string()),
        ("unit", pa.int64()),
        ("fraction_active", pa.float64()),
        ("fraction_flat", pa.float64()),
    ]
)
HISTOGRAMS = pa.schema(
    [
        *_RUN,
        *_WHEN,
        *_WHERE,
        ("scale", pa.string()),
        ("bin_left", pa.float64()),
        ("bin_right", pa.float64()),
        ("count", pa.int64()),
    ]
)

Row = Mapping[str, Any]
Columns = Mapping[str, Any]  # {name: a sequence or an array}, all of the same length


def write(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    """Write rows as Parquet, whole or not at all; a key that the schema lacks is an error.

    Raises:
        ValueError: If a row's keys are not exactly the schema's columns.
    """
    names = schema.names
    for row in rows:
        if set(row) != set(names):
            raise ValueError(f"{path}: a row has the keys {sorted(row)}, not {sorted(names)}")
    write_columns(path, [{name: [row[name] for row in rows] for name in names}], schema)


def write_columns(path: Path, parts: Sequence[Columns], schema: pa.Schema) -> None:
    """Write parts of a table, each given as its columns, one below the other, as `write` does.

    Raises:
        ValueError: If a part's keys are not exactly the schema's columns.
    """
    for part in parts:
        if set(part) != set(schema.names):
            raise ValueError(
                f"{path}: a part has the keys {sorted(part)}, not {sorted(schema.names)}"
            )
    found = [pa.Table.from_pydict(dict(part), schema=schema) for part in parts]
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(found), temporary, compression="zstd")


def read(paths: Sequence[Path], schema: pa.Schema) -> "pd.DataFrame":
    """Read Parquet files of one schema into one frame, in the order given.

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
            reason = " ".join(str(error).split())
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
