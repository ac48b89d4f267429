"""The report stage: a page whose figures exist and whose lines give the numbers it states."""

import re
from typing import Any

import numpy as np
import pytest

from tests.support.study import tiny_params
from vanishing import paths
from vanishing.explorer.page import INDEX
from vanishing.files import read_json

pytestmark = pytest.mark.usefixtures("study")


def test_every_figure_that_is_shown_is_there_and_every_figure_is_shown() -> None:
    shown = re.findall(r"!?\[[^]]+\]\((figures/[^)]+)\)", paths.REPORT.read_text())
    figures = paths.FIGURES.rglob("*.png")
    assert sorted(shown) == sorted(str(path.relative_to(paths.REPORTS)) for path in figures)


def test_the_page_to_explore_is_written_beside_it_with_every_variant() -> None:
    text = INDEX.read_text()
    assert text.startswith("<!doctype html>")
    assert all(f'"{name}"' in text for name in tiny_params()["variants"])


def test_the_factors_of_each_variant_add_up_to_what_is_lost() -> None:
    section = paths.REPORT.read_text().split("### Why it vanishes")[1].split("###")[0]
    items = [line for line in section.splitlines() if line.startswith("- `")]
    assert len(items) == len(tiny_params()["variants"])
    assert all(re.search(r" decades lost over \d hops: .* in the weights ", i) for i in items)


def test_theory_stands_beside_measurement() -> None:
    section = paths.REPORT.read_text().split("### Theory")[1].split("###")[0]
    rows = {line.split("|")[1].strip(): line for line in section.splitlines() if "|" in line}
    assert "not available" in rows["sigmoid-batchnorm"]
    assert "not available" not in rows["sigmoid"]
    assert f"{read_json(paths.METRICS)['sigmoid']['hop_theory']:.3g}" in rows["sigmoid"]


def test_the_lines_that_the_report_shows_give_the_effects_of_the_claims() -> None:
    blocks = re.findall(r"```python\n(.*?)```", paths.REPORT.read_text(), re.DOTALL)
    tables, functions, *formulas = blocks
    claims = read_json(paths.CLAIMS)
    assert len(formulas) == len(claims)
    names: dict[str, Any] = {}
    for block in (tables, functions):
        exec(compile(block, "report", "exec"), names)  # noqa: S102 - as a reader would run it
    compared = 0
    for formula, row in zip(formulas, claims, strict=True):
        if not row["n"]:
            continue
        exec(compile(formula, row["id"], "exec"), names)  # noqa: S102 - as above
        values = names["effect"]
        effect = np.exp(np.log(values).mean()) if row["average"] == "geometric" else values.mean()
        expected = np.nan if row["effect"] is None else row["effect"]
        assert effect == pytest.approx(expected, rel=1e-5, nan_ok=True), row["id"]
        compared += row["effect"] is not None
    assert compared > 10
