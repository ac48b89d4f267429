"""A study of more variants than a page can hold: all are judged, and the report shows some."""

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from benchmarks.copies import multiply
from tests.support.study import link_code, run, tiny_params
from vanishing.files import read_json
from vanishing.paths import CLAIMS, FIGURES, METRICS, REPORT, plot
from vanishing.reporting import card, selection
from vanishing.reporting.style import STYLE

COUNT = 16
SHOWN = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study_of_many(judged_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stages from `diagnose` to `report` on a study of many variants; for reading only."""
    folder = tmp_path_factory.mktemp("many")
    link_code(folder)
    multiply(judged_folder, folder, tiny_params(), COUNT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "EPOCHS", 2)
        patch.setattr(selection, "VARIANTS", SHOWN)
        patch.setattr("vanishing.reporting.figures.STYLE", STYLE | {"figure.dpi": 40})
        patch.setattr(card, "draw_card", lambda *_: Figure())  # a second each
        patch.chdir(folder)
        for stage in ("diagnose", "render", "report"):
            run(stage)
    return folder


@pytest.fixture
def many(study_of_many: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the study of many variants as the working directory; for reading only."""
    monkeypatch.setattr(selection, "VARIANTS", SHOWN)
    monkeypatch.chdir(study_of_many)
    return study_of_many


@pytest.mark.usefixtures("many")
def test_all_variants_are_judged_like_those_that_they_are_copies_of(judged_folder: Path) -> None:
    metrics = read_json(METRICS)
    assert len(metrics) == COUNT
    assert metrics["relu-0004"] == metrics["relu"]
    # Claims about some variants are not changed by copies of these, nor those about medians.
    before = {row["id"]: row["effect"] for row in read_json(judged_folder / CLAIMS)}
    after = {row["id"]: row["effect"] for row in read_json(CLAIMS)}
    assert after == pytest.approx(before, nan_ok=True)


@pytest.mark.usefixtures("many")
def test_the_plots_of_dvc_have_some_variants_and_epochs() -> None:
    curves = pd.read_csv(plot("curves"))
    assert curves["variant"].nunique() == SHOWN
    assert sorted(curves["epoch"].unique()) == [0, 2]


@pytest.mark.usefixtures("many")
def test_every_variant_has_its_figure_and_every_figure_fits_a_page() -> None:
    cards = {path.stem for path in (FIGURES / "variants").glob("*.png")}
    assert cards == set(read_json(METRICS))
    for path in FIGURES.glob("*.png"):
        height, width, _ = imread(path).shape
        assert height < 2.5 * width, path


@pytest.mark.usefixtures("many")
def test_the_report_shows_some_variants_and_says_how_many_it_left_out() -> None:
    text = REPORT.read_text("utf-8")
    chosen = selection.choose_variants(read_json(METRICS), "sigmoid")
    assert f"Shown here are {SHOWN} of the {COUNT} variants" in text
    assert f"the other {COUNT - SHOWN} are in" in text
    copies = set(chosen) - set(tiny_params()["variants"])
    for table in ("| variant ", "| rule "):
        rows = text.split(table)[1].split("\n\n")[0]
        assert set(re.findall(r"\b[a-z-]+-\d{4}\b", rows)) == copies
    assert len(text) < 100_000
    assert max(len(line) for line in text.split("## Limits")[1].splitlines()) < 1000
