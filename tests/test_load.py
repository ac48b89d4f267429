"""A study of more variants than a page can hold: all judged, some shown, and which is said."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from stages import diagnose, render, report
from tests.support.many_variants import multiply
from tests.support.study import tiny_params
from vanishing.files import CLAIMS, METRICS, read_json
from vanishing.reporting import selection, style

COUNT = 30


@pytest.fixture
def crowd(study_folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a study of many variants, judged, as the working directory."""
    monkeypatch.setattr(selection, "EPOCHS", 2)
    for parent in ("models", "data/statistics"):
        shutil.copytree(study_folder / parent, workspace / parent)
    names = multiply(workspace, tiny_params(), COUNT)
    diagnose.main([])
    return names


def test_all_are_judged_and_dvc_plots_what_fits(crowd: list[str], study_folder: Path) -> None:
    metrics = read_json(METRICS)
    assert list(metrics) == crowd
    assert metrics["relu-0004"] == metrics["relu"]
    curves = pd.read_csv("reports/plots/curves.csv")
    assert curves["variant"].nunique() == selection.VARIANTS
    assert sorted(curves["epoch"].unique()) == [0, 2]
    # Claims about some variants are not changed by copies of these, nor those about medians.
    before = {row["id"]: row["effect"] for row in read_json(study_folder / CLAIMS)}
    assert {row["id"]: row["effect"] for row in read_json(CLAIMS)} == pytest.approx(
        before, nan_ok=True
    )


def test_the_report_shows_some_and_says_what_it_left_out(
    crowd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.STYLE, "figure.dpi", 40)
    render.main([])
    cards = {path.stem for path in Path("reports/figures/variants").glob("*.png")}
    assert cards == set(crowd)
    for path in Path("reports/figures").glob("*.png"):
        height, width, _ = imread(path).shape
        assert height < 2.5 * width, path
    report.main([])
    text = Path("reports/README.md").read_text()
    shown = selection.choose_variants(read_json(METRICS), "sigmoid")
    assert f"Shown here are {selection.VARIANTS} of the {COUNT} variants" in text
    assert f"the other {COUNT - selection.VARIANTS} are in" in text
    for table in ("| variant ", "| rule "):
        rows = text.split(table)[1].split("\n\n")[0]
        assert set(re.findall(r"\b[a-z-]+-\d{4}\b", rows)) == set(shown) - set(
            tiny_params()["variants"]
        )
    assert len(text) < 100_000
    assert max(len(line) for line in text.split("## Limits")[1].splitlines()) < 1000
