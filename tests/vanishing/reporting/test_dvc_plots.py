"""The CSV files of DVC's plots."""

import io

import pandas as pd
import pytest

from tests.vanishing.reporting.made_up_tables import tables
from vanishing.reporting import dvc_plots, selection
from vanishing.results.schemas import HISTORY


def test_curves_have_a_row_per_variant_and_epoch_mean_over_the_seeds() -> None:
    history = tables(["a", "b"])["history"]
    curves = pd.read_csv(io.StringIO(dvc_plots.curves(history)))
    assert curves.columns.tolist() == [
        name for name in HISTORY.names if name not in {"seed", "step"}
    ]
    assert curves[["variant", "epoch"]].to_numpy().tolist() == [
        [name, epoch] for name in ("a", "b") for epoch in (0, 1, 2)
    ]
    losses = history[(history["variant"] == "b") & (history["epoch"] == 2)]["train_loss"]
    assert curves["train_loss"].iloc[-1] == pytest.approx(losses.mean(), rel=1e-5)


def test_a_long_history_is_thinned_to_as_many_epochs_as_an_editor_draws() -> None:
    history = tables(["a"])["history"]
    last = history[history["epoch"] == 2]
    long = pd.concat([history, *(last.assign(epoch=epoch) for epoch in range(3, 500))])
    curves = pd.read_csv(io.StringIO(dvc_plots.curves(long)))
    assert len(curves) == selection.EPOCHS
    assert (curves["epoch"].min(), curves["epoch"].max()) == (0, 499)


def test_gradients_have_a_row_per_variant_snapshot_and_layer() -> None:
    layers = tables(["a", "b"])["layers"]
    gradients = pd.read_csv(io.StringIO(dvc_plots.gradients(layers)))
    assert gradients.columns.tolist() == ["variant", "epoch", "layer_index", "rms"]
    assert len(gradients) == 2 * 3 * 3
    assert len(gradients.drop_duplicates(["variant", "epoch", "layer_index"])) == len(gradients)


def test_numbers_have_as_many_digits_as_the_json_files() -> None:
    history = tables(["a"])["history"].assign(train_loss=1 / 3)
    assert "0.333333," in dvc_plots.curves(history)
