"""A comparison in words: three lines, and a page of which most is folded."""

from pathlib import Path

import pytest

from tests.support.made_up_results import MACHINE, Files
from tests.support.study import BASELINE
from vanishing.comparing import page
from vanishing.comparing.answer import answer
from vanishing.comparing.comparison import compare
from vanishing.comparing.words import name, size, text
from vanishing.judging.verdicts import FINE, NOT_APPLICABLE, PROBLEM, UNDEFINED


def answered(old: Files, new: Files) -> list[str]:
    """Return the answer."""
    return answer(compare(old.results(), new.results()))


def test_the_answer_has_three_lines_at_the_most(old: Files, new: Files) -> None:
    new.stages["report"]["outs"] = [{"path": "reports/README.md", "md5": "of another"}]
    new.verdict("relu", "overfit", PROBLEM)
    new.claims[0]["verdict"] = "supported"
    new.number("sigmoid", "test_accuracy", 0.5)
    new.runs[0]["machine"] = MACHINE | {"threads": 4}
    new.params["variants"]["tanh"] = BASELINE | {"activation": "tanh"}
    new.add("tanh")
    new.figures["variants/sigmoid.png"] = b"2"
    new.metrics["tanh"]["sharpness"] = 1.0
    assert answered(old, new) == [
        "These results are not of one state: reports/README.md is not the file that dvc.lock"
        " records.",
        "`tanh` is new (steady, learns); overfit of `relu` is a problem now (was fine); “ReLU"
        " avoids it” is supported now (was refuted).",
        "Test accuracy of `sigmoid` changed beyond rounding (one seed: chance is not excluded);"
        " 1 metric only on one side; 1 figure is drawn differently.",
    ]


def test_few_of_many_are_named(old: Files, new: Files) -> None:
    for files in (old, new):
        for number in range(5):
            files.claims.append(
                {"id": str(number), "claim": f"Claim {number}.", "verdict": "refuted", "effect": 1}
            )
    for rule, verdict in (("overfit", PROBLEM), ("at_chance", UNDEFINED)):
        for variant in ("sigmoid", "relu"):
            new.verdict(variant, rule, verdict)
    new.verdict("relu", "vanishing_attenuation", NOT_APPLICABLE)
    new.verdict("sigmoid-batchnorm", "overfit", UNDEFINED)
    for claim in new.claims:
        claim["verdict"] = "inconclusive"
    (line,) = answered(old, new)
    assert line == (
        "At chance of `sigmoid`, `relu` is undefined now (was fine); overfit of `sigmoid`, `relu`"
        " is a problem now (was fine); vanishing attenuation of `relu` is not applicable now (was"
        " fine); 1 more verdict; “ReLU avoids it” is inconclusive now (was refuted); “Tanh shrinks”"
        " is inconclusive now (was supported); “Claim 0” is inconclusive now (was refuted); 4 more"
        " claims."
    )


def test_new_and_lost_rules_and_claims_are_named_as_such(old: Files, new: Files) -> None:
    new.health.append({"variant": "relu", "rule": "dead_relu", "verdict": FINE})
    new.health = [row for row in new.health if row["rule"] != "overfit"]
    new.claims[0] |= {"id": "another", "claim": "Another."}
    (line,) = answered(old, new)
    variants = "`sigmoid`, `relu`, `sigmoid-batchnorm`"
    for clause in (
        "dead relu of `relu` is a new rule",
        f"verfit of {variants} is no rule any more",
        "“ReLU avoids it” is no claim any more",
        "“Another” is a new claim (refuted)",
    ):
        assert clause in line


def test_seeds_are_said_where_they_decide() -> None:
    old, new = Files(seeds=(0, 1)), Files(seeds=(0, 1))
    new.number("relu", "test_accuracy", 0.90, 0.901)
    new.number("sigmoid", "test_accuracy", 0.90, 0.96)
    assert answered(old, new) == [
        "No verdict and no claim changed; test accuracy of `relu` changed beyond what seeds"
        " explain; 1 number moved within what seeds explain (largest 0.02 of its value)."
    ]


def test_the_rest_of_the_page_is_folded_beyond_a_table_and_a_picture(
    old: Files, new: Files
) -> None:
    for variant in new.metrics:
        for metric in ("test_accuracy", "test_loss", "train_loss", "attenuation_final"):
            new.number(variant, metric, 9.0)
        new.verdict(variant, "overfit", PROBLEM)
    new.params["train"]["epochs"] = 4
    content = page.write(compare(old.results(), new.results()), "![](picture)", no_figure)
    table, picture, *folded = content.sections
    assert len(table.splitlines()) == 2 + page.MOST_VISIBLE
    assert picture == "![](picture)"
    summaries = [section.partition("</summary>")[0] for section in folded]
    assert summaries == [
        "<details><summary>Why: 1 parameter",
        "<details><summary>4 more numbers that changed",
        "<details><summary>3 verdicts changed",
    ]
    accuracy = [row for row in table.splitlines() if "test accuracy" in row]
    assert len(accuracy) == len(new.metrics)  # before all others


def no_figure(path: Path) -> list[str]:
    """Fail, since no figure should be shown."""
    raise AssertionError(path)


def test_of_many_figures_one_is_seen(old: Files, new: Files) -> None:
    new.figures |= dict.fromkeys(new.figures, b"2")
    new.figures["health.png"] = b"1"
    content = page.write(
        compare(old.results(), new.results()), "", lambda path: [f"old {path}", f"new {path}"]
    )
    (section,) = content.sections
    seen, _, folded = section.partition("<details>")
    assert seen.count("old reports/figures/") == seen.count("new reports/figures/") == 1
    assert folded.count("old reports/figures/") == len(new.figures) - 2


def test_texts_are_cut_and_hold_no_markup() -> None:
    assert text("a_b *c* <d> [e](f) @g |") == ("a\\_b \\*c\\* &lt;d&gt; \\[e\\](f) @\u200bg \\|")
    assert text(None) == "none"
    assert text(0.123456789) == "0.123457"
    assert len(text("x" * 1000)) == 120
    assert name("a`b|c\nd") == "`a'b¦c d`"


@pytest.mark.parametrize(("value", "written"), [(6.2e-6, "6e-6"), (0.04, "0.04"), (0.5, "0.5")])
def test_a_size_has_one_digit(value: float, written: str) -> None:
    assert size(value) == written
