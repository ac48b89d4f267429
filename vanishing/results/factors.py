"""The table of factors: how a gradient changes from the loss to the input, a row per factor.

`within` makes it a tree: 0 is a row of the chain, of which all gains multiply to the attenuation;
the rows within a join are its paths, and those within a path are the path's own factors.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from vanishing.paths import STATISTICS, run_folder
from vanishing.results import parquet

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS, ACTIVATION, NORMALISATION = "weights", "activation", "normalisation"
JOIN, PATH = "join", "path"
ATTENTION, RECURRENT = "attention", "recurrent"
PRODUCT, SCALING, POOLING, SELECTION = "product", "scaling", "pooling", "selection"
DROPOUT, LOSS, OTHER = "dropout", "loss", "other"

OUTPUT, INPUT = "output", "input"  # where the chain begins and ends

# Notes on a row: what becomes of the gradient.
BECOMES_ZERO, ZERO = "the gradient becomes 0", "the gradient is 0 already"
BECOMES_NOT_FINITE = "the gradient becomes NaN or infinite"
NOT_FINITE = "the gradient is NaN or infinite already"

KINDS = {
    WEIGHTS: "a layer's weights: rms(Wᵀδ) / rms(δ)",
    ACTIVATION: "φ: rms(φ'⊙δ) / rms(δ)",
    NORMALISATION: "batch, layer, group or RMS normalisation",
    JOIN: "parallel paths, whose gradients are added up",
    PATH: "one of the paths of a join",
    ATTENTION: "fused attention, towards its query, key or value",
    RECURRENT: "a recurrent layer as a whole",
    PRODUCT: "a matrix product of two values that are computed",
    SCALING: "multiplication by a number or value, a power",
    POOLING: "pooling, a mean or a sum, resizing",
    SELECTION: "a part of a tensor, or several put together",
    DROPOUT: "dropout",
    LOSS: "the loss",
    OTHER: "any other operation",
}

FACTORS = pa.schema(
    [
        ("position", pa.int32()),
        ("within", pa.int32()),
        ("hop", pa.int32()),
        ("later", pa.string()),
        ("earlier", pa.string()),
        ("layer", pa.string()),
        ("operation", pa.string()),
        ("kind", pa.string()),
        ("rms_output", pa.float64()),
        ("rms_input", pa.float64()),
        ("gain", pa.float64()),
        ("decades", pa.float64()),
        ("spread", pa.float64()),
        ("theory", pa.float64()),
        ("bound", pa.float64()),
        ("share", pa.float64()),
        ("cosine", pa.float64()),
        ("note", pa.string()),
    ]
)


# The same of the snapshots of a study's training runs.
SNAPSHOT_FACTORS = pa.schema(
    [("variant", pa.string()), ("seed", pa.int64()), ("epoch", pa.int32()), *FACTORS]
)


# The same of the moments at which a watched training was explained.
WATCHED_FACTORS = pa.schema(
    [("variant", pa.string()), ("seed", pa.int64()), ("step", pa.int64()), *FACTORS]
)


def write_factors(path: Path, table: "pd.DataFrame") -> None:
    """Write a table of factors as Parquet."""
    parquet.write(path, pa.Table.from_pandas(table, FACTORS, preserve_index=False))


def write_factors_of_run(variant: str, seed: int, rows: "pd.DataFrame") -> None:
    """Write the factors of a training run's snapshots.

    Args:
        variant: Its name.
        seed: Of the run.
        rows: Columns of FACTORS, and `epoch`; without columns where there are none.
    """
    table = rows.assign(variant=variant, seed=seed).reindex(columns=SNAPSHOT_FACTORS.names)
    content = pa.Table.from_pandas(table, SNAPSHOT_FACTORS, preserve_index=False)
    parquet.write(_path(variant, seed), content)


def read_factors(variants: Iterable[str], seeds: Iterable[int]) -> "pd.DataFrame":
    """Read the factors of training runs into one frame, with the columns of SNAPSHOT_FACTORS."""
    of_variant = list(seeds)
    files = [_path(name, seed) for name in variants for seed in of_variant]
    return parquet.read(files, SNAPSHOT_FACTORS)


def _path(variant: str, seed: int) -> Path:
    return run_folder(STATISTICS, variant, seed) / "factors.parquet"
