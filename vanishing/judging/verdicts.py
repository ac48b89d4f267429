"""The words of verdicts, and the rows of health.json: by rule, in words, against expectations."""

from collections.abc import Mapping
from typing import Any

PROBLEM, FINE, UNDEFINED, NOT_APPLICABLE = "problem", "fine", "undefined", "not applicable"
SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"  # of claims

_BY_GRAVITY = (PROBLEM, UNDEFINED, FINE, NOT_APPLICABLE)

Row = dict[str, Any]


def verdict(rows: list[Row], rule: str) -> str:
    """Return the gravest verdict among one variant's checks of a rule."""
    verdicts: set[str] = {row["verdict"] for row in rows if row["rule"] == rule}
    return min(verdicts, key=_BY_GRAVITY.index)


def summarise(rows: list[Row]) -> str:
    """Say in words how one variant's gradient starts and how its training ends.

    Args:
        rows: Of the variant.

    Returns:
        Two words, with a comma: `vanishing`, `exploding`, `not finite`, `steady` or `not recorded`
        for the attenuation at initialisation; `at chance`, `diverged`, `learned` or `not tested`
        for the training. The last word of each is of recorded runs.
    """
    return f"{_gradient(rows)}, {_training(rows)}"


def _gradient(rows: list[Row]) -> str:
    vanishing = verdict(rows, "vanishing_attenuation")
    if vanishing == NOT_APPLICABLE:
        return "not recorded"
    if vanishing == UNDEFINED:
        return "not finite"
    if verdict(rows, "exploding_attenuation") == PROBLEM:
        return "exploding"
    return "vanishing" if vanishing == PROBLEM else "steady"


def _training(rows: list[Row]) -> str:
    if verdict(rows, "nonfinite_loss") == PROBLEM:
        return "diverged"
    at_chance = verdict(rows, "at_chance")
    if at_chance == NOT_APPLICABLE:
        return "not tested"
    return "at chance" if at_chance == PROBLEM else "learned"


def unmet_expectations(rows: list[Row], expected: Mapping[str, Mapping[str, bool]]) -> list[str]:
    """Compare the verdicts with the section `expect` of params.yaml.

    Args:
        rows: Of all variants.
        expected: {variant: {rule: whether it should find a problem}}.

    Returns:
        A line for each expectation that does not hold, with the checks of its rule.
    """
    lines = []
    for name, rules in expected.items():
        rows_of_variant = [row for row in rows if row["variant"] == name]
        for rule, problem_expected in rules.items():
            actual = verdict(rows_of_variant, rule)
            if (actual == PROBLEM) != problem_expected:
                checks = [describe(row) for row in rows_of_variant if row["rule"] == rule]
                expectation = "a problem" if problem_expected else "none"
                difference = f"{name}: {rule}: expected {expectation}, found {actual}"
                lines.append("; ".join([difference, *checks]))
    return lines


def describe(row: Row) -> str:
    """Say in words what a row measured, at which layer, epoch and step, and its threshold."""
    if row["verdict"] == NOT_APPLICABLE:
        return "the rule does not apply to this network"
    measured = "NaN or infinite" if row["measured"] is None else f"{row['measured']:.3g}"
    parts = [f"{key} {row[key]}" for key in ("layer", "epoch", "step") if row[key] is not None]
    location = f" ({', '.join(parts)})" if parts else ""
    limit = f"{row['relation']} {row['threshold']:.3g}"
    return f"{row['quantity']}: {measured}{location}, a problem {limit}"
