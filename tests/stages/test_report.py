"""The report: every number from the files, every figure there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import report
from vanishing.files import CLAIMS, HEALTH, METRICS, read_json
from vanishing.params.load import load
from vanishing.params.diagnose import Params
from vanishing.reporting import markdown
from vanishing.reporting.markdown import Metrics, Rows


def test_report_shows_each_variant_with_its_numbers(study: Path) -> None:
    text = (study / "reports/README.md").read_text()
    for name, values in read_json(METRICS).items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"{values['test_accuracy']:.1%}" in row
        assert f"{values['attenuation_init']:.3g}" in row
        assert values["verdict"] in row


def test_every_figure_that_is_shown_is_there_and_every_figure_is_shown(study: Path) -> None:
    text = (study / "reports/README.md").read_text()
    shown = re.findall(r"!?\[[^]]+\]\((figures/[^)]+)\)", text)
    figures = (study / "reports/figures").rglob("*.png")
    assert sorted(shown) == sorted(
        path.relative_to(study / "reports").as_posix() for path in figures
    )


def rewritten(
    metrics: Metrics | None = None, checks: Rows | None = None, claims: Rows | None = None
) -> str:
    """Write the report of the study with some of its files replaced."""
    return report.report(
        load(Params),
        metrics or read_json(METRICS),
        checks or read_json(HEALTH),
        claims or read_json(CLAIMS),
    )


@pytest.mark.usefixtures("study")
def test_changed_metrics_change_the_sentences() -> None:
    metrics = read_json(METRICS)
    metrics["relu"]["test_accuracy"] = 0.98765
    metrics["sigmoid"]["attenuation_init"] = 0.000123
    text = " ".join(rewritten(metrics).split())
    assert "The best test accuracy is 98.8% (`relu`)" in text
    assert "baseline's first layer is 0.000123 of that" in text


@pytest.mark.usefixtures("study")
def test_what_is_not_finite_is_said_not_hidden() -> None:
    metrics = read_json(METRICS)
    metrics["relu"] |= dict.fromkeys(report.numeric_keys(metrics))
    metrics["relu"]["verdict"] = "not finite, diverged"
    text = rewritten(metrics)
    row = next(line for line in text.splitlines() if line.startswith("| relu "))
    assert row.count("not finite") == 6
    assert "relu diverged" in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.usefixtures("study")
def test_theory_stands_beside_measurement_and_says_where_there_is_none() -> None:
    rows = {
        line.split("|")[1].strip(): line
        for line in rewritten().split("### Theory")[1].split("###")[0].splitlines()
        if "|" in line
    }
    assert "not available" in rows["sigmoid-batchnorm"]
    assert "not available" not in rows["sigmoid"]
    assert f"{read_json(METRICS)['sigmoid']['hop_theory']:.3g}" in rows["sigmoid"]


@pytest.mark.usefixtures("study")
def test_disagreement_with_theory_is_said() -> None:
    metrics = read_json(METRICS)
    metrics["sigmoid"]["hop_deviation"] = 0.01
    metrics["relu"]["hop_deviation"] = 0.2
    text = " ".join(rewritten(metrics).split())
    assert "agree within 3.0% in sigmoid ; they do not in relu." in text.replace(
        "sigmoid;", "sigmoid ;"
    )


@pytest.mark.usefixtures("study")
def test_every_claim_has_its_verdict_and_every_link_its_target() -> None:
    claims = read_json(CLAIMS)
    text = rewritten(claims=claims)
    findings = text.split("## Findings")[1].split("## Evidence")[0]
    for row in claims:
        (line,) = [each for each in findings.splitlines() if f"(#{row['id']})" in each]
        assert row["verdict"] in line
        assert f'<a id="{row["id"]}"></a>' in text
    counts = [sum(row["verdict"] == v for row in claims) for v in ("supported", "refuted")]
    said = " ".join(findings.split())
    assert f"Of {len(claims)} statements {counts[0]} are supported, {counts[1]} refuted" in said


def test_the_lines_that_the_report_shows_give_the_effects_of_the_claims(study: Path) -> None:
    blocks = re.findall(
        r"```python\n(.*?)```", (study / "reports/README.md").read_text(), re.DOTALL
    )
    tables, measures, *formulas = blocks
    claims = read_json(CLAIMS)
    assert len(formulas) == len(claims)
    names: dict[str, Any] = {}
    for block in (tables, measures):
        exec(compile(block, "report", "exec"), names)  # noqa: S102 - as a reader would run it
    compared = 0
    for formula, row in zip(formulas, claims, strict=True):
        if row["n"]:
            exec(compile(formula, row["id"], "exec"), names)  # noqa: S102
            geometric = row["average"] == "geometric"
            found = float(
                np.exp(np.log(names["effect"]).mean()) if geometric else names["effect"].mean()
            )
            expected = np.nan if row["effect"] is None else row["effect"]
            assert found == pytest.approx(expected, rel=1e-5, nan_ok=True), row["id"]
            compared += row["effect"] is not None
    assert compared > 10


@pytest.mark.usefixtures("study")
def test_problems_are_listed_with_place_value_and_threshold() -> None:
    checks = read_json(HEALTH)
    row = next(row for row in checks if row["rule"] == "exploding_attenuation")
    row |= {"measured": 123.4, "threshold": 100.0, "verdict": "problem", "layer": "here"}
    table = markdown.problems_table(checks)
    (line,) = [each for each in table.splitlines() if "exploding attenuation" in each]
    assert all(word in line for word in ("layer here", " 123 ", "above 100", row["variant"]))
    assert "× " in markdown.health_table(checks)
