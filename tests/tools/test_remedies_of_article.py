"""docs/remedies-of-the-article.md: what the command makes of the committed reports."""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.study import ROOT
from tools import remedies_of_article as page
from tools.remedies_of_article import DEPTH, FOLDERS, OPTIMIZERS, REMEDIES
from vanishing.errors import StudyError
from vanishing.judging.claims import AFTER_RESULTS
from vanishing.judging.ranges import Results

COMMITTED = page.read_all(ROOT)


def changed(study: str, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Results]:
    """Return the committed results with other metrics of some variants of a study."""
    new = {name: dict(of_variant) for name, of_variant in COMMITTED[study].metrics.items()}
    for name, values in metrics.items():
        new[name] |= values
    return COMMITTED | {study: COMMITTED[study]._replace(metrics=new)}


def row(table: str, remedy: str) -> str:
    """Return the row of a remedy."""
    return next(line for line in table.splitlines() if line.startswith(f"| {remedy} |"))


def test_the_committed_page_is_what_the_command_makes() -> None:
    committed = (ROOT / page.PAGE).read_text("utf-8")
    assert committed == page.make_page(COMMITTED), "run: make article"


def test_every_table_has_a_row_per_remedy() -> None:
    for table in (page.gains_table, page.costs_table, page.limits_table, page.claims_table):
        names = [line.split(" | ")[0][2:] for line in table(COMMITTED).splitlines()[2:]]
        assert names == [remedy.name for remedy in REMEDIES]


def test_gains_are_differences_of_accuracies_and_ratios_of_attenuations() -> None:
    before = {"test_accuracy": 0.2, "attenuation_fresh": 0.01}
    after = {"test_accuracy": 0.45, "attenuation_fresh": 0.5}
    results = changed("root", {"sigmoid": before, "tanh": after})
    shown = row(page.gains_table(results), "tanh")
    assert "| 20.0% → 45.0% | +25.0 | 0.01 → 0.5 | 50 | root |" in shown
    assert "tanh (45.0%)" in page.answer_of_gains(results)
    assert "where sigmoid ends at 20.0%" in page.answer_of_gains(results)


def test_numbers_that_are_missing_are_shown_as_such() -> None:
    nothing = {"test_accuracy": None, "attenuation_fresh": None, "hop_theory": None}
    results = changed("root", {"tanh": nothing})
    assert "not finite" in row(page.gains_table(results), "tanh")
    assert "tanh (not finite)" in page.answer_of_gains(results)
    assert "six depth scales: no theory" in row(
        page.limits_table(changed(DEPTH, {"tanh-50": nothing})), "tanh"
    )


def test_the_end_of_a_remedy_moves_with_the_accuracies() -> None:
    learned = {"test_accuracy": 0.9}
    results = changed(DEPTH, dict.fromkeys(("relu-he-20", "relu-he-50"), learned))
    words = "trains up to 50 layers, the most that was measured"
    assert words in row(page.limits_table(results), "He for ReLU")
    assert f"He for ReLU {words}" in page.answer_of_limits(results)
    of_sgd = {"sgd": {"test_accuracy": 0.9}, "sgd-large-rate": {"test_accuracy": 0.1}}
    results = changed(OPTIMIZERS, of_sgd)
    assert "stops between 0.01 and 0.1" in row(page.limits_table(results), "momentum")
    trains = page.answer_of_limits(results).partition(", and does not with ")[0]
    assert "momentum" in trains


def test_a_width_is_not_measured_until_a_study_has_two() -> None:
    assert "not measured" in row(page.limits_table(COMMITTED), "batch normalization")
    study = COMMITTED[DEPTH].study
    wide = study.perceptrons["tanh-5"].model_copy(update={"width": 300})
    variants = {**study.variants, "tanh-5-wide": wide}
    metrics = {**COMMITTED[DEPTH].metrics, "tanh-5-wide": {"test_accuracy": 0.1}}
    more = Results(study.model_copy(update={"variants": variants}), metrics, [])
    shown = row(page.limits_table(COMMITTED | {DEPTH: more}), "tanh")
    assert "stops between 100 and 300 units" in shown


def test_claims_whose_limits_came_later_have_an_asterisk() -> None:
    claims = copy.deepcopy(COMMITTED[DEPTH].claims)
    claim = next(c for c in claims if c["id"] == "tanh-xavier-50-trains")
    claim["evidence"] = f"test accuracy ({AFTER_RESULTS})"
    results = COMMITTED | {DEPTH: COMMITTED[DEPTH]._replace(claims=claims)}
    words = f"{claim['claim'].rstrip('.')}: {claim['verdict']}"
    assert f"{words} * (depth)" in row(page.claims_table(results), "Xavier for tanh")
    assert f"{words} (depth)" in row(page.claims_table(COMMITTED), "Xavier for tanh")


def test_a_report_without_a_variant_of_a_remedy_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in FOLDERS.values():
        for name in ("params.yaml", "reports/metrics.json", "reports/claims.json"):
            target = tmp_path / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / folder / name, target)
    monkeypatch.chdir(tmp_path)
    page.main([])
    assert page.PAGE.read_text("utf-8") == page.make_page(COMMITTED)
    path = FOLDERS[DEPTH] / "reports/metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["tanh-skip-50"]
    path.write_text(json.dumps(metrics))
    with pytest.raises(StudyError, match=r"depth/reports/metrics\.json: .* tanh-skip-50"):
        page.main([])
