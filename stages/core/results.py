"""All variants' tables as frames, and the quantities that several stages derive from them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core import run, tables
from stages.core.errors import StudyError
from stages.core.files import MODELS, REPORTS, STATISTICS

METRICS = REPORTS / "metrics.json"
LAYERS = "layers.parquet"
HISTOGRAMS = "histograms.parquet"
INITIALISATION = "initialisation.parquet"
DEPTHS = "depths.parquet"
THEORY = "theory.parquet"


def history(variants: Iterable[str]) -> pd.DataFrame:
    """Read every variant's history.parquet."""
    return tables.read([run.history_path(name) for name in variants], tables.HISTORY)


def trace(variants: Iterable[str]) -> pd.DataFrame:
    """Read every variant's trace.parquet."""
    return tables.read([run.trace_path(name) for name in variants], tables.TRACE)


def layers(variants: Iterable[str]) -> pd.DataFrame:
    """Read every variant's layers.parquet."""
    return tables.read([STATISTICS / name / LAYERS for name in variants], tables.LAYERS)


def histograms(variants: Iterable[str]) -> pd.DataFrame:
    """Read every variant's histograms.parquet."""
    return tables.read([STATISTICS / name / HISTOGRAMS for name in variants], tables.HISTOGRAMS)


def theory(variants: Iterable[str]) -> pd.DataFrame:
    """Read every variant's theory.parquet."""
    return tables.read([STATISTICS / name / THEORY for name in variants], tables.THEORY)


def select(layers: pd.DataFrame, tensor: str, statistic: str) -> pd.DataFrame:
    """Return the rows of one statistic of one tensor."""
    return layers[(layers["tensor"] == tensor) & (layers["statistic"] == statistic)]


def first_over_last_hidden(layers: pd.DataFrame, tensor: str, statistic: str) -> pd.Series:
    """Divide a statistic of the first weight layer by that of the last hidden one.

    With `backpropagated_gradient` and `rms` this is the attenuation: below 1 the gradient shrinks
    on its way down. It is 1 by definition where there is one hidden layer, NaN where it is 0 / 0.

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


def attenuation(layers: pd.DataFrame) -> pd.Series:
    """Rms(dL/dz of the first weight layer) / rms(dL/dz of the last hidden weight layer)."""
    return first_over_last_hidden(layers, "backpropagated_gradient", "rms")


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
    written = {run.description_path(""), run.history_path(""), run.trace_path("")}
    names = {path.name for path in written}
    names |= {LAYERS, HISTOGRAMS, INITIALISATION, DEPTHS, THEORY}
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
