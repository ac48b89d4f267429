"""Whole figures: a panel per variant, labelled axes, the same bytes for the same numbers."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.support import drawings
from tests.support.study import ROOT
from tests.vanishing.reporting.made_up_tables import tables
from vanishing import paths
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.reporting import figures
from vanishing.reporting.figures import Drawer, Tables

NAMES = ["sigmoid", "sigmoid-xavier", "relu"]
ATTENUATION = {
    "attenuation_theory": 0.5,
    "attenuation_fresh": 0.4,
    "attenuation_fresh_low": 0.3,
    "attenuation_fresh_high": 0.6,
}
METRICS = dict.fromkeys(NAMES, ATTENUATION)
CHECKS = [{"variant": name, "rule": "dead_relu", "verdict": "fine"} for name in [*NAMES, "other"]]


@pytest.fixture(scope="module")
def frames() -> Tables:
    """Give the tables of three variants."""
    return tables(NAMES)


@pytest.fixture(scope="module")
def drawers(frames: Tables) -> dict[Path, Drawer]:
    """Give what draws their figures."""
    return figures.comparisons(load(Study, ROOT / "params.yaml"), METRICS, CHECKS, frames, NAMES)


def drawn(drawers: dict[Path, Drawer], name: str) -> Figure:
    """Draw one figure."""
    return drawers[paths.figure(name)]()


def test_every_figure_says_what_its_axes_are(drawers: dict[Path, Drawer]) -> None:
    named_by_ticks = {("health", "x"), ("health", "y"), ("attenuation-by-variant", "y")}
    for path, draw in drawers.items():
        figure = draw()
        for axis in ("x", "y"):
            labels = [getattr(figure, f"get_sup{axis}label")()]
            labels += [getattr(axes, f"get_{axis}label")() for axes in figure.axes]
            assert any(labels) != ((path.stem, axis) in named_by_ticks), (path, axis)


@pytest.mark.parametrize(
    "name",
    [
        "gradient-distributions",
        "activation-distributions",
        "attenuation-by-depth",
        "gradient-trace",
        "gradient-magnitudes-over-training",
        "saturation",
    ],
)
def test_every_variant_has_its_panel(drawers: dict[Path, Drawer], name: str) -> None:
    assert drawings.titles(drawn(drawers, name)) == NAMES


@pytest.mark.parametrize("name", ["gradient-decay", "learning-curves", "generalization-gap"])
def test_every_variant_has_its_line_in_every_panel(drawers: dict[Path, Drawer], name: str) -> None:
    figure = drawn(drawers, name)
    for axes in figure.axes:
        assert [line for line in drawings.lines(axes) if line in NAMES] == NAMES
    assert drawings.legend(figure) == NAMES


def test_health_shows_the_checks_of_the_variants_that_are_shown(
    drawers: dict[Path, Drawer],
) -> None:
    (axes,) = drawn(drawers, "health").axes
    assert list(drawings.tick_labels(axes, "y").values()) == NAMES


def test_standard_weights_stand_beside_xaviers(drawers: dict[Path, Drawer]) -> None:
    figure = drawn(drawers, "standard-and-xavier")
    assert drawings.titles(figure) == ["sigmoid", "sigmoid-xavier"]
    upper, lower = figure.axes[:2], figure.axes[2:]
    assert all(list(drawings.stairs(axes)) == ["0", "1"] for axes in upper)
    assert all(list(drawings.lines(axes)) == ["0", "1"] for axes in lower)  # hidden layers alone


def test_without_a_pair_there_is_no_such_figure(frames: Tables) -> None:
    study = load(Study, ROOT / "params.yaml")
    names = ["relu"]
    drawers = figures.comparisons(study, METRICS, CHECKS, frames, names)
    assert paths.figure("standard-and-xavier") not in drawers


def test_networks_of_one_depth_each_have_no_figure_against_the_depth(frames: Tables) -> None:
    study = load(Study, ROOT / "params.yaml")
    path = paths.figure("attenuation-by-depth")
    assert path in figures.comparisons(study, METRICS, CHECKS, frames, NAMES)
    theory = frames["theory"]
    of_one_depth = dict(frames) | {"theory": theory[theory["depth"] == theory["depth"].iloc[0]]}
    assert path not in figures.comparisons(study, METRICS, CHECKS, of_one_depth, NAMES)


def test_magnitudes_over_training_share_one_scale_and_show_zeros_and_overflow(
    frames: Tables,
) -> None:
    panels = figures.gradient_magnitudes(frames["trace_histograms"], NAMES).axes[: len(NAMES)]
    assert len({axes.get_ylim() for axes in panels}) == 1
    labels = drawings.tick_labels(panels[0], "y").values()
    assert {"zero", "not finite"} <= set(labels)
    for axes in panels:
        shares = drawings.heat_map(axes)
        for step in {x for x, _ in shares}:
            assert sum(share for (x, _), share in shares.items() if x == step) == pytest.approx(1)


def test_a_study_whose_gradients_all_overflow_still_has_its_figure(frames: Tables) -> None:
    histograms = frames["trace_histograms"].assign(bin_left=np.nan, bin_right=np.nan)
    figure = figures.gradient_magnitudes(histograms, NAMES)
    assert list(drawings.heat_map(figure.axes[0]).values()) == [1, 1, 1]


def test_a_saved_figure_is_twice_as_wide_as_a_page_and_the_same_bytes_each_time(
    frames: Tables, tmp_path: Path
) -> None:
    for name in ("first.png", "second.png"):
        figures.save(lambda: figures.generalization_gap(frames["history"], NAMES), tmp_path / name)
    image = imread(tmp_path / "first.png")
    assert image.shape[1] == 1660
    assert image.std() > 0.01
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
