"""The tables of all variants and seeds as frames, by name."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vanishing import paths
from vanishing.results import parquet
from vanishing.results.schemas import SCHEMAS

if TYPE_CHECKING:
    import pandas as pd


def read(table: str, variants: Iterable[str], seeds: Iterable[int]) -> "pd.DataFrame":
    """Read a table of several variants into one frame.

    Args:
        table: A key of SCHEMAS.
        variants: In the order of the frame's rows.
        seeds: Of the training runs, in the order of the rows of one variant. A table of
            paths.TABLES_BY_VARIANT has one file per variant, and the seeds are ignored.

    Returns:
        A frame with the schema's columns.
    """
    by_variant = table in paths.TABLES_BY_VARIANT
    files_of_variant = [None] if by_variant else list(seeds)
    files = [paths.table(table, name, seed) for name in variants for seed in files_of_variant]
    return parquet.read(files, SCHEMAS[table])


def write(table: str, variant: str, rows: Iterable[parquet.Row], seed: int | None = None) -> None:
    """Write a table of one variant, or of one of its training runs.

    Args:
        table: A key of SCHEMAS.
        variant: Its name, which becomes the column `variant`.
        rows: Without `variant`, and without `seed` where `seed` is given.
        seed: Of the training run, which becomes the column `seed`; None for a table of
            paths.TABLES_BY_VARIANT.
    """
    run = {"variant": variant} if seed is None else {"variant": variant, "seed": seed}
    path = paths.table(table, variant, seed)
    parquet.write_rows(path, [{**run, **row} for row in rows], SCHEMAS[table])


def write_pieces(table: str, variant: str, seed: int, pieces: Sequence[parquet.Columns]) -> None:
    """Write a table of one training run, given as columns without `variant` and `seed`.

    Args:
        table: A key of SCHEMAS.
        variant: Its name.
        seed: Of the training run.
        pieces: That follow one another.
    """
    rows = parquet.of_run(variant, seed, pieces, SCHEMAS[table])
    parquet.write(paths.table(table, variant, seed), rows)


def select(layers: "pd.DataFrame", tensor: str, statistic: str) -> "pd.DataFrame":
    """Return the rows of one statistic of one tensor."""
    return layers[(layers["tensor"] == tensor) & (layers["statistic"] == statistic)]


def select_weight_gradients(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of dL/dW: of `weight_gradient`, and the like of any other weight matrix.

    An LSTM has `weight_ih_l0_gradient` and more, an attention `in_proj_weight_gradient`.
    """
    return rows[rows["tensor"].str.fullmatch(r"(\w+_)?weight(_\w+)?_gradient")]
