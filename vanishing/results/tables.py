"""All variants' tables as frames, and the quantities that several stages derive from them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from vanishing.errors import StudyError
from vanishing.files import MODELS, STATISTICS
from vanishing.results import run
from vanishing.results import schemas as tables

# {table: the folder that has one of it per variant, its schema}
TABLES = {
    "history": (MODELS, tables.HISTORY),
    "losses": (MODELS, tables.LOSSES),
    "trace": (MODELS, tables.TRACE),
    "trace_histograms": (MODELS, tables.TRACE_HISTOGRAMS),
    "layers": (STATISTICS, tables.LAYERS),
    "histograms": (STATISTICS, tables.HISTOGRAMS),
    "units": (STATISTICS, tables.UNITS),
    "initialisation": (STATISTICS, tables.INITIALISATIONS),
    "depths": (STATISTICS, tables.INITIALISATIONS),
    "theory": (STATISTICS, tables.THEORY),
}


def path(table: str, variant: str) -> Path:
    """Return where a variant's table is."""
    return TABLES[table][0] / variant / f"{table}.parquet"


def read(table: str, variants: Iterable[str]) -> pd.DataFrame:
    """Read a table of every variant into one frame, in the order given."""
    return tables.read([path(table, name) for name in variants], TABLES[table][1])


def write(table: str, variant: str, rows: Iterable[tables.Row]) -> None:
    """Write a variant's table; the rows come without `variant`."""
    named = [{"variant": variant, **row} for row in rows]
    tables.write(path(table, variant), named, TABLES[table][1])


def select(layers: pd.DataFrame, tensor: str, statistic: str) -> pd.DataFrame:
    """Return the rows of one statistic of one tensor."""
    return layers[(layers["tensor"] == tensor) & (layers["statistic"] == statistic)]


def first_over_last_hidden(layers: pd.DataFrame, tensor: str, statistic: str) -> pd.Series:
    """Divide a statistic of the first weight layer by that of the last hidden one.

    It is 1 by definition where there is one hidden layer, NaN where it is 0 / 0.

    Args:
        layers: Rows as in layers.parquet.
        tensor: Which tensor.
        statistic: Which statistic of it.

    Returns:
        The ratio, indexed by variant, seed and epoch.
    """
    rows = select(layers, tensor, statistic)
    keys = ["variant", "seed", "epoch", "layer_index"]
    # (runs, layers); NaN behind a shallower network's output layer
    wide = rows.set_index(keys)["value"].unstack("layer_index")
    output = rows.groupby(["variant", "seed", "epoch"], sort=False)["layer_index"].max()
    last_hidden = wide.to_numpy()[range(len(wide)), output.loc[wide.index] - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.Series(wide[0].to_numpy() / last_hidden, index=wide.index)


def remove_leftovers(variants: Iterable[str]) -> None:
    """Remove what the pipeline wrote for variants that params.yaml no longer has.

    DVC leaves the outputs of a removed stage in place, where they would count as a part of the
    folders that later stages depend on, so that dvc.lock would differ from a fresh clone's. They
    stay in DVC's cache. A folder that holds files which no stage writes is refused, not removed.
    """
    keep = set(variants)
    for parent in (MODELS, STATISTICS):
        for folder in sorted(path for path in parent.iterdir() if path.is_dir()):
            if folder.name not in keep:
                _remove(folder)


def _remove(folder: Path) -> None:
    names = {run.description_path("").name, *(f"{table}.parquet" for table in TABLES)}
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        if path.name not in names and path.suffix != ".safetensors":
            raise StudyError(
                f"{folder}: belongs to no variant in params.yaml, but holds {path.name}, which no"
                " stage writes; move it elsewhere or delete the folder"
            )
    for path in files:
        path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
