"""The report's sentences: each number from the JSON files, each missing one named."""

import copy
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.study import ROOT
from tests.vanishing.judging.made_up_study import random_study
from vanishing import paths
from vanishing.judging import article
from vanishing.judging.claims import AFTER_RESULTS
from vanishing.judging.findings import findings, uncertainties
from vanishing.judging.ledger import FIRST_FIGURES, Ledger, Opening
from vanishing.judging.repetition import Repetition
from vanishing.judging.study import judge_study
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.reporting import report, selection
from vanishing.results.factors import SNAPSHOT_FACTORS
from vanishing.results.summaries import rounded

NAMES = ["sigmoid", "sigmoid-skip", "relu"]
LEDGER = Ledger(article.CLAIMS, article.EXPECTED_SETTINGS, article.WRITTEN_DOWN)
TEMPLATE = (ROOT / paths.TEMPLATE).read_text(encoding="utf-8")
EFFECTS = "import pandas as pd\n\n\ndef hop(t):\n    return t\n"


@pytest.fixture(scope="module")
def settings() -> Params:
    """Give the shipped parameters, with three variants of depth 3."""
    shipped = load(Params, ROOT / "params.yaml")
    variants = {name: shipped.perceptrons[name].at_depth(3) for name in NAMES}
    return shipped.model_copy(update={"variants": variants})


@pytest.fixture(scope="module")
def summaries(settings: Params) -> dict[str, Any]:
    """Give metrics, checks and claims of a study that was made up."""
    tables = random_study(NAMES)
    judgement = judge_study(settings, tables, dict.fromkeys(NAMES, 10), LEDGER)
    content: dict[str, Any] = rounded(judgement._asdict())
    return {name: content[name] for name in ("metrics", "checks", "claims")}


def fill(
    settings: Params,
    summaries: dict[str, Any],
    opening: Opening | None = None,
    repetition: Repetition | None = None,
    **metrics: dict[str, Any],
) -> str:
    """Write the report, with some metrics of some variants replaced (`_` for `-` in a name)."""
    content = copy.deepcopy(summaries)
    for name, changed in metrics.items():
        content["metrics"][name.replace("_", "-")] |= changed
    rows = content.pop("claims")
    claims = report.Claims(rows, EFFECTS, article.WRITTEN_DOWN, opening, repetition)
    return report.fill_template(TEMPLATE, settings, **content, claims=claims, factors=factors())


def factors() -> pd.DataFrame:
    """Return factors of one variant: two hops at initialisation, and after two epochs."""
    rows = [
        (epoch, hop, kind, decades)
        for epoch, decades in ((0, -1.5), (2, -0.25))
        for hop, kind in ((1, "weights"), (2, "activation"))
    ]
    table = pd.DataFrame(rows, columns=["epoch", "hop", "kind", "decades"])
    table = table.assign(
        variant="sigmoid", seed=0, within=0, position=range(1, 5), note="", layer="hidden"
    )
    table["operation"] = table["kind"].map({"weights": "Addmm", "activation": "Sigmoid"})
    return table.reindex(columns=SNAPSHOT_FACTORS.names)


def words(text: str) -> str:
    """Return a text in one line."""
    return " ".join(text.split())


def test_it_says_why_the_gradient_vanishes_before_and_after_training(
    settings: Params, summaries: dict[str, Any]
) -> None:
    section = fill(settings, summaries).split("### Why it vanishes")[1].split("###")[0]
    item = next(line for line in section.splitlines() if line.startswith("- `sigmoid`: "))
    assert "3.0 decades lost over 2 hops: 1.5 in the" in item
    assert "After epoch 2: 0.50 decades lost over 2 hops" in item


def test_variants_that_asked_for_a_remedy_have_a_link_to_it(
    settings: Params, summaries: dict[str, Any]
) -> None:
    assert "What helps" not in fill(settings, summaries)
    asked = settings.model_copy(update={"remedies": ("sigmoid",)})
    assert "[sigmoid](remedies/sigmoid.md)" in fill(asked, summaries)


def test_each_variant_has_a_row_with_its_numbers(
    settings: Params, summaries: dict[str, Any]
) -> None:
    text = fill(settings, summaries)
    for name, values in summaries["metrics"].items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"{values['test_accuracy']:.1%}" in row
        assert f"{values['attenuation_init']:.3g}" in row
        assert values["verdict"] in row


def test_changed_metrics_change_the_sentences(settings: Params, summaries: dict[str, Any]) -> None:
    changed = {"attenuation_init": 0.000123}
    text = words(fill(settings, summaries, relu={"test_accuracy": 5.4321}, sigmoid=changed))
    assert "The best test accuracy is 543.2% (`relu`)" in text
    assert "baseline's first layer is 0.000123 of that" in text


def test_numbers_that_are_not_finite_are_named(settings: Params, summaries: dict[str, Any]) -> None:
    missing = dict.fromkeys(report.numeric_keys(summaries["metrics"]))
    text = fill(settings, summaries, relu=missing | {"verdict": "not finite, will not learn"})
    row = next(line for line in text.splitlines() if line.startswith("| relu "))
    assert row.count("not finite") == 6
    assert "variants will not learn (relu)" in words(text)
    assert not re.search(r"\bnan\b", text)
    assert "None" not in text


def test_disagreement_with_theory_is_named(settings: Params, summaries: dict[str, Any]) -> None:
    text = words(
        fill(
            settings,
            summaries,
            sigmoid={"hop_deviation": 0.01},
            sigmoid_skip={"hop_deviation": None},
            relu={"hop_deviation": 0.2},
        )
    )
    assert "agree within 3.0% in sigmoid; they do not in relu." in text


def test_networks_without_a_hop_have_no_table_of_hops(
    settings: Params, summaries: dict[str, Any]
) -> None:
    assert "Per hop, theory and measurement agree" in fill(settings, summaries)
    without = {"hop_fresh": None, "hop_theory": None, "hop_deviation": None}
    text = fill(settings, summaries, sigmoid=without, sigmoid_skip=without, relu=without)
    theory = text.split("### Theory beside measurement")[1].split("\n### ")[0]
    assert "|" not in theory
    assert "Per hop" not in theory


def test_every_claim_has_its_verdict_and_every_link_its_target(
    settings: Params, summaries: dict[str, Any]
) -> None:
    claims = summaries["claims"]
    text = fill(settings, summaries)
    statements = text.split("## What the articles say")[1].split("## The variants")[0]
    by_kind = re.split(r"^### \w+$", statements, flags=re.MULTILINE)[1:]
    for row in claims:
        part = by_kind[["cause", "effect", "remedy"].index(row["kind"])]
        (line,) = [line for line in part.splitlines() if f"(#{row['id']})" in line]
        assert row["verdict"] in line
        assert f'<a id="{row["id"]}"></a>' in text
        assert f"```python\n{row['formula']}\n```" in text
    supported, refuted = (
        sum(row["verdict"] == verdict for row in claims) for verdict in ("supported", "refuted")
    )
    counts = f"Of {len(claims)} statements {supported} are supported, {refuted} refuted"
    assert counts in words(statements)


def test_more_seeds_answer_each_statement_about_trained_networks(
    settings: Params, summaries: dict[str, Any]
) -> None:
    several = {"n": 5, "interval": [0.1, 0.3], "effect": 0.2, "p_holm": 0.002}
    repeated = [row | several for row in summaries["claims"] if row["over"] == "seeds"]
    repeated[0] |= {"verdict": "supported"}
    repetition = Repetition({row["id"]: row for row in repeated}, "../more/README.md")
    text = fill(settings, summaries, repetition=repetition)
    statements, evidence = text.split("### The claims, one by one")
    for row in summaries["claims"]:
        (line,) = [line for line in statements.splitlines() if f"(#{row['id']})" in line]
        part = evidence.split(f'<a id="{row["id"]}">')[1].split("```")[0]
        answer = repetition.answer(row) or ""
        assert line.split("|")[-2].strip() == answer
        assert (f"[With 5 seeds](../more/README.md#{row['id']})" in part) == bool(answer)
        assert ("0.2 (0.1 to 0.3)" in part and f"corrected): {answer}." in part) == bool(answer)
    assert "with 5 seeds" not in fill(settings, summaries).lower()


def test_statements_whose_limits_came_after_the_results_are_counted(
    settings: Params, summaries: dict[str, Any]
) -> None:
    assert "it came after the first results" not in fill(settings, summaries)
    rows = copy.deepcopy(summaries["claims"])
    rows[0]["evidence"] += f" ({AFTER_RESULTS})"
    assert "of 1 it came after the first results" in words(
        fill(settings, summaries | {"claims": rows})
    )


def test_the_first_screen_has_findings_one_picture_and_what_is_uncertain(
    settings: Params, summaries: dict[str, Any]
) -> None:
    text = fill(settings, summaries)
    first = text.split("## What the articles say")[0]
    sentences = findings(settings, summaries["metrics"], summaries["claims"])
    assert re.findall(r"^- (.+)$", first, re.MULTILINE) == sentences
    assert first.count("![") == 1
    for sentence in uncertainties(settings, summaries["claims"]):
        assert sentence in first
    assert len(first) < 3500


@pytest.mark.parametrize("figure", FIRST_FIGURES)
def test_a_study_with_an_opening_begins_with_its_question_and_its_answers(
    figure: str, settings: Params, summaries: dict[str, Any], workspace: Path
) -> None:
    assert Path.cwd() == workspace
    paths.FIGURES.mkdir(parents=True)
    for name in FIRST_FIGURES:
        paths.figure(name).touch()
    opening = Opening("Does it learn?", "A network is trained.", figure)
    its_claims = settings.model_copy(update={"claims": "claims.py"})
    text = fill(its_claims, summaries, opening)
    first, rest = text.split("\n## The claims\n")
    assert "# Does it learn?\n\nA network is trained.\n\n- **Supported** are" in first
    assert re.findall(r"!\[.*\]\(figures/(.*)\.png\)", first) == [figure]
    for name in FIRST_FIGURES:
        assert rest.count(f"(figures/{name}.png)") == (name != figure)
    assert "\n## The question" not in rest


def test_an_opening_whose_figure_the_study_does_not_have_shows_the_attenuation(
    settings: Params, summaries: dict[str, Any], workspace: Path
) -> None:
    assert Path.cwd() == workspace
    opening = Opening("Does it learn?", "A network is trained.", "gradient-through-time")
    text = fill(settings, summaries, opening)
    assert "attenuation-by-variant.png" in text.split("## What the articles say")[0]


def test_the_source_of_the_effects_is_shown_whole(
    settings: Params, summaries: dict[str, Any]
) -> None:
    assert f"```python\n{EFFECTS}```" in fill(settings, summaries)


def test_links_to_the_documentation_start_from_the_studys_folder(
    settings: Params, summaries: dict[str, Any]
) -> None:
    target = "docs/decisions/0005-the-rules-of-the-claims.md"
    assert f"(../{target})" in fill(settings, summaries)
    elsewhere = settings.model_copy(update={"root": "../.."})
    assert f"(../../../{target})" in fill(elsewhere, summaries)
    assert (ROOT / target).is_file()


def test_a_pair_of_standard_and_xavier_weights_has_its_figure(
    settings: Params, summaries: dict[str, Any]
) -> None:
    assert "standard-and-xavier.png" not in fill(settings, summaries)
    xavier = {"init": "xavier_uniform", "compare_to": "sigmoid"}
    variants = settings.variants | {"relu": settings.variants["sigmoid"].model_copy(update=xavier)}
    with_pair = settings.model_copy(update={"variants": variants})
    assert "standard-and-xavier.png" in fill(with_pair, summaries)


def test_a_large_study_says_how_many_variants_it_left_out(
    settings: Params, summaries: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Shown here" not in fill(settings, summaries)
    monkeypatch.setattr(selection, "VARIANTS", 2)
    text = words(fill(settings, summaries))
    assert "Shown here are 2 of the 3 variants" in text
    assert "verdicts of the other 1 are in" in text
    assert "`dvc plots` draws 2 of 3 variants" in text


def test_an_extreme_is_the_variant_and_its_value() -> None:
    metrics = {"a": {"x": 2.0, "y": None}, "b": {"x": 1.0, "y": None}}
    assert report.find_extreme(metrics, "x", min) == ("b", 1.0)
    assert report.find_extreme(metrics, "x", max) == ("a", 2.0)
    assert report.find_extreme(metrics, "y", min) == ("none", None)
