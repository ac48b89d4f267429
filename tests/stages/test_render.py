"""The render stage: every figure, legible, the same bytes each time."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from stages import render
from tests.support.study import tiny_params
from vanishing.params.diagnose import Params

FIGURES = {
    "activation-distributions.png",
    "attenuation-by-depth.png",
    "attenuation-by-variant.png",
    "generalization-gap.png",
    "gradient-decay.png",
    "gradient-distributions.png",
    "gradient-histogram.png",
    "gradient-trace.png",
    "health.png",
    "learning-curves.png",
    "saturation.png",
    *(f"variants/{name}.png" for name in tiny_params()["variants"]),
}


def test_every_figure_is_there_and_twice_as_wide_as_a_page(study: Path) -> None:
    folder = study / "reports/figures"
    found = {p.relative_to(folder).as_posix(): imread(p) for p in folder.rglob("*.png")}
    assert set(found) == FIGURES
    for name, image in found.items():
        assert image.shape[1] == 1660, name
        assert image.std() > 0.01, f"{name} is blank"


def test_same_tables_same_bytes(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "FOLDER", tmp_path)
    render.main([])
    for name in FIGURES:
        assert (tmp_path / name).read_bytes() == (study / "reports/figures" / name).read_bytes()


def test_every_variant_has_its_panel_and_every_axis_its_label(study: Path) -> None:
    names = list(tiny_params()["variants"])
    layers = pd.concat(
        pd.read_parquet(study / f"data/statistics/{name}/layers.parquet") for name in names
    )
    figure = render.activation_distributions(layers, names)
    assert [axes.get_title() for axes in figure.axes] == names
    decay = render.gradient_decay(layers, names)
    assert [axes.get_title() for axes in decay.axes] == ["at initialisation", "after 2 epochs"]
    assert all(axes.get_xlabel() for axes in decay.axes)
    assert [text.get_text() for text in decay.legends[0].get_texts()] == names


def test_standard_and_xavier_stand_side_by_side_where_both_are_there(
    study: Path, settings: Params
) -> None:
    variants = dict(settings.variants)
    assert render.xavier_pairs(variants) == []
    xavier = {"init": "xavier_uniform", "compare_to": "sigmoid"}
    variants["sigmoid-xavier"] = variants["sigmoid"].model_copy(update=xavier)
    variants["odd"] = variants["sigmoid-xavier"].model_copy(update={"depth": 9})
    pairs = render.xavier_pairs(variants)
    assert pairs == [("sigmoid", "sigmoid-xavier")]
    own = pd.read_parquet(study / "data/statistics/sigmoid/histograms.parquet")
    figure = render.standard_and_xavier(
        pd.concat([own, own.assign(variant="sigmoid-xavier")]), pairs
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["sigmoid", "sigmoid-xavier", "", ""]
    assert all(axes.lines or axes.patches for axes in figure.axes)
