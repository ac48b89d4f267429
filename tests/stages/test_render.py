"""The render stage: a figure of every kind and of every variant, and the data of DVC's plots."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from stages import render
from tests.support.study import tiny_params
from vanishing import paths

VARIANTS = list(tiny_params()["variants"])
FIGURES = {
    "activation-distributions",
    "attenuation-by-depth",
    "attenuation-by-variant",
    "factors",
    "generalization-gap",
    "gradient-decay",
    "gradient-distributions",
    "gradient-histogram",
    "gradient-magnitudes-over-training",
    "gradient-trace",
    "health",
    "learning-curves",
    "saturation",
}
EXPECTED = {*map(paths.figure, FIGURES), *map(paths.card, VARIANTS)}


@pytest.mark.usefixtures("study")
def test_every_figure_is_there_and_twice_as_wide_as_a_page() -> None:
    assert set(paths.FIGURES.rglob("*.png")) == EXPECTED
    for path in EXPECTED:
        image = imread(path)
        assert image.shape[1] == 1660, path
        assert image.std() > 0.01, f"{path} is blank"


@pytest.mark.slow
def test_same_tables_same_bytes(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params.yaml", "data"):
        (tmp_path / name).symlink_to(study / name)
    (tmp_path / paths.REPORTS).mkdir()
    for path in (paths.METRICS, paths.HEALTH):
        (tmp_path / path).symlink_to(study / path)
    monkeypatch.chdir(tmp_path)
    render.main([])
    for path in (*EXPECTED, paths.plot("curves"), paths.plot("gradients")):
        assert path.read_bytes() == (study / path).read_bytes(), path


@pytest.mark.usefixtures("study")
def test_plots_have_a_row_per_variant_and_epoch_or_layer() -> None:
    curves = pd.read_csv(paths.plot("curves"))
    assert len(curves) == 3 * 3
    assert {"variant", "epoch", "train_loss", "test_accuracy"} < set(curves.columns)
    gradients = pd.read_csv(paths.plot("gradients"))
    assert len(gradients) == 3 * 3 * 4
    assert (gradients["rms"] > 0).all()
