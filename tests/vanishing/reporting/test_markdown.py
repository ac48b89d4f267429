"""The report's tables and numbers."""

from typing import Any

from vanishing.params.diagnose import Params
from vanishing.reporting import markdown

PROBLEM: dict[str, Any] = {
    "variant": "v",
    "rule": "vanishing_gradient",
    "kind": "warning",
    "quantity": "mean |dL/dW|",
    "layer": "first",
    "epoch": 1,
    "step": None,
    "measured": 1e-9,
    "relation": "below",
    "threshold": 1e-7,
    "verdict": "problem",
}
METRICS: dict[str, dict[str, Any]] = {
    "sigmoid": {"verdict": "vanishing", "attenuation_init": 1e-4, "test_accuracy": 0.1},
    "relu": {"verdict": "vanishing", "attenuation_init": 1e-3, "test_accuracy": None},
    "tanh": {"verdict": "diverged", "attenuation_init": None, "test_accuracy": 0.2},
}


def cells(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_difference_names_the_reference_and_the_change(settings: Params) -> None:
    assert markdown.describe_difference(settings, "relu") == "sigmoid: activation relu"
    assert markdown.describe_difference(settings, "sigmoid") == "(reference)"


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    header, _, line = markdown.problems_table([PROBLEM]).splitlines()
    assert line.replace("\\|", "").count("|") == header.count("|")


def test_problems_are_listed_with_location_value_and_threshold() -> None:
    fine = PROBLEM | {"verdict": "fine", "variant": "w"}
    _, _, line = markdown.problems_table([PROBLEM, fine]).splitlines()
    assert cells(line) == [
        "warning",
        "v",
        "vanishing gradient",
        "mean \\|dL/dW\\|",
        "layer first, epoch 1",
        "1e-09",
        "below 1e-07",
    ]


def test_a_study_without_problems_has_a_table_without_rows() -> None:
    assert "variant" in markdown.problems_table([])


def test_health_has_a_row_per_rule_and_the_gravest_verdict_of_each_variant() -> None:
    checks = [PROBLEM, PROBLEM | {"verdict": "fine"}, PROBLEM | {"variant": "w", "verdict": "fine"}]
    header, _, line = markdown.health_table(checks).splitlines()
    assert cells(header) == ["rule", "v", "w"]
    assert cells(line) == ["vanishing gradient", "!", "·"]


def test_what_fails_is_listed_before_warnings_and_notes() -> None:
    checks = [PROBLEM | {"kind": kind} for kind in ("note", "fails", "warning")]
    _, _, *lines = markdown.problems_table(checks).splitlines()
    assert [cells(line)[0] for line in lines] == ["fails", "warning", "note"]


def test_learning_has_a_row_per_variant_with_its_reason_and_the_layer_of_the_cause() -> None:
    learning = {
        "variant": "v",
        "rule": "learning",
        "layer": "first",
        "verdict": "will not learn",
        "reason": "The loss is 100% of it.",
    }
    header, _, line = markdown.learning_table([learning, PROBLEM]).splitlines()
    assert cells(header) == ["variant", "verdict", "layer", "reason"]
    assert cells(line) == ["v", "**will not learn**", "first", "The loss is 100% of it."]


def test_verdicts_are_counted_with_the_range_of_their_numbers() -> None:
    _, _, vanishing, diverged = markdown.verdicts_table(METRICS, ["sigmoid"]).splitlines()
    assert cells(vanishing) == ["vanishing", "2", "1", "0.0001", "0.001", "10.0%", "10.0%"]
    assert cells(diverged) == ["diverged", "1", "0", "not finite", "not finite", "20.0%", "20.0%"]


def test_a_long_list_of_names_ends_with_a_count() -> None:
    names = [f"v{i}" for i in range(markdown.MOST_NAMES + 2)]
    assert markdown.enumerate_names(names[:2]) == "v0, v1"
    assert markdown.enumerate_names(names).endswith("v11, and 2 more")
    assert markdown.enumerate_names([], "no variant") == "no variant"


def test_missing_numbers_are_named() -> None:
    assert markdown.number(None) == "not finite"
    assert markdown.predicted(None) == "not available"
    assert markdown.effect(None) == "unknown"
    assert markdown.interval(None) == "none"
    assert markdown.interval([0.12345, None]) == "none"
    assert markdown.nats(None) == markdown.percent(None) == "not finite"


def test_numbers_have_the_digits_that_matter() -> None:
    assert markdown.number(0.12345) == "0.123"
    assert markdown.effect(0.12345) == "0.123"
    assert markdown.effect(0.999997) == "0.999997"
    assert markdown.effect(1.0) == "1"
    assert markdown.interval([0.12345, 2.0]) == "0.123 to 2"
    assert markdown.nats(2.30259) == "2.3026"
    assert markdown.percent(0.1234) == "12.3%"


def test_sentences_begin_with_a_capital_and_symbols_stay() -> None:
    assert markdown.capitalise("share of z") == "Share of z"
    assert markdown.capitalise("χ = 1") == "χ = 1"
    assert markdown.capitalise("") == ""
