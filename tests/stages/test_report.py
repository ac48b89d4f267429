"""The report: every number from the files, every figure there."""

import re
from pathlib import Path

import pytest

from stages import report
from stages.core import params
from stages.core.files import read_json
from stages.core.results import METRICS


def test_report_shows_each_variant_with_its_numbers(study: Path) -> None:
    text = (study / "reports/README.md").read_text()
    for name, values in read_json(METRICS).items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"{values['test_accuracy']:.1%}" in row
        assert f"{values['attenuation_init']:.3g}" in row
        assert values["verdict"] in row


def test_every_figure_that_is_shown_is_there_and_every_figure_is_shown(study: Path) -> None:
    text = (study / "reports/README.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert sorted(shown) == sorted(
        f"figures/{path.name}" for path in (study / "reports/figures").iterdir()
    )


@pytest.mark.usefixtures("study")
def test_changed_metrics_change_the_sentences() -> None:
    settings, metrics = params.load(), read_json(METRICS)
    metrics["relu"]["test_accuracy"] = 0.98765
    metrics["sigmoid"]["attenuation_init"] = 0.000123
    text = report.report(settings, metrics)
    assert "The best test accuracy is 98.8% (`relu`)" in text
    assert "baseline's first layer is 0.000123 of that" in text


@pytest.mark.usefixtures("study")
def test_what_is_not_finite_is_said_not_hidden() -> None:
    settings, metrics = params.load(), read_json(METRICS)
    metrics["relu"] |= dict.fromkeys(report.numeric_keys(metrics))
    metrics["relu"]["verdict"] = "not finite, diverged"
    text = report.report(settings, metrics)
    row = next(line for line in text.splitlines() if line.startswith("| relu "))
    assert row.count("not finite") == 6
    assert "relu diverged" in text
    assert "nan" not in text.lower().replace("finance", "")


@pytest.mark.usefixtures("study")
def test_a_difference_names_the_reference_and_the_change() -> None:
    variants = params.load().variants
    assert report.difference(variants, "relu") == "sigmoid: activation relu"
    assert report.difference(variants, "sigmoid") == "(reference)"


@pytest.mark.usefixtures("study")
def test_theory_stands_beside_measurement_and_says_where_there_is_none() -> None:
    text = report.report(params.load(), read_json(METRICS))
    rows = {
        line.split("|")[1].strip(): line
        for line in text.split("## Theory")[1].splitlines()
        if "|" in line
    }
    assert "not available" in rows["sigmoid-batchnorm"]
    assert "not available" not in rows["sigmoid"]
    assert f"{read_json(METRICS)['sigmoid']['hop_theory']:.3g}" in rows["sigmoid"]


@pytest.mark.usefixtures("study")
def test_disagreement_with_theory_is_said() -> None:
    settings, metrics = params.load(), read_json(METRICS)
    metrics["sigmoid"]["hop_deviation"] = 0.01
    metrics["relu"]["hop_deviation"] = 0.2
    text = " ".join(report.report(settings, metrics).split())
    assert "agree within 3.0% in sigmoid; they do not in relu." in text
