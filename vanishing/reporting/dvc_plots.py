"""The CSV files that `dvc plots` draws: long, and small enough for an editor."""

import pandas as pd

from vanishing.reporting import selection
from vanishing.reporting.plot_data import gradient_norms, mean_history
from vanishing.results.summaries import DIGITS


def curves(history: pd.DataFrame) -> str:
    """Return losses and accuracies by variant and epoch, mean over the seeds, as CSV.

    Of more than `selection.EPOCHS` epochs it has that many, at even distances.

    Args:
        history: Rows as in history.parquet.

    Returns:
        The columns of history.parquet but seed and step.
    """
    epochs = sorted(history["epoch"].unique())
    chosen = [epochs[index] for index in selection.spread(len(epochs), selection.EPOCHS)]
    return _csv(mean_history(history[history["epoch"].isin(chosen)]))


def gradients(layers: pd.DataFrame) -> str:
    """Return rms(dL/dz) by variant, snapshot and weight layer, mean over the seeds, as CSV.

    Args:
        layers: Rows as in layers.parquet.

    Returns:
        Columns variant, epoch, layer_index, rms.
    """
    return _csv(gradient_norms(layers))


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
