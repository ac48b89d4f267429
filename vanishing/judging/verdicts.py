"""The words of verdicts, and the rows of health.json: by rule, in words, against expectations."""

from collections.abc import Iterable, Mapping
from typing import Any

from vanishing.judging.kinds import KINDS_BY_GRAVITY
from vanishing.params.answers import LEARNING, LEARNS, TOO_EARLY, WILL_NOT_LEARN

PROBLEM, FINE, UNDEFINED, NOT_APPLICABLE = "problem", "fine", "undefined", "not applicable"
SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"  # of claims

GRAVITY = (  # the gravest first
    WILL_NOT_LEARN,
    PROBLEM,
    TOO_EARLY,
    UNDEFINED,
    LEARNS,
    FINE,
    NOT_APPLICABLE,
)

Row = dict[str, Any]


def verdict(rows: list[Row], rule: str) -> str:
    """Return the gravest verdict among one variant's checks of a rule, or that on its learning."""
    verdicts: set[str] = {row["verdict"] for row in rows if row["rule"] == rule}
    return min(verdicts, key=GRAVITY.index)


def mark(rows: list[Row], rule: str) -> str:
    """Return what the matrix shows of a rule: a problem by its gravest kind, else the verdict."""
    gravest = verdict(rows, rule)
    if gravest != PROBLEM:
        return gravest
    problems = by_kind(row for row in rows if row["rule"] == rule and row["verdict"] == PROBLEM)
    return str(problems[0]["kind"])


def by_kind(problems: Iterable[Row]) -> list[Row]:
    """Return problems with the gravest kind first, and otherwise in their order."""
    return sorted(problems, key=lambda row: KINDS_BY_GRAVITY.index(row["kind"]))


def summarise(rows: list[Row]) -> str:
    """Say in words how one variant's gradient starts and what becomes of its training.

    Args:
        rows: Of the variant, that of its learning among them.

    Returns:
        Two verdicts, with a comma: `vanishing`, `exploding`, `not finite`, `steady` or `not
        recorded` for the attenuation at initialisation, the last one of recorded runs; `will not
        learn`, `too early to say` or `learns` for the training.
    """
    return f"{_gradient(rows)}, {verdict(rows, LEARNING)}"


def _gradient(rows: list[Row]) -> str:
    vanishing = verdict(rows, "vanishing_attenuation")
    if vanishing == NOT_APPLICABLE:
        return "not recorded"
    if vanishing == UNDEFINED:
        return "not finite"
    if verdict(rows, "exploding_attenuation") == PROBLEM:
        return "exploding"
    return "vanishing" if vanishing == PROBLEM else "steady"


def unmet_expectations(
    rows: list[Row], expected: Mapping[str, Mapping[str, bool | str]]
) -> list[str]:
    """Compare the verdicts with the section `expect` of params.yaml.

    Args:
        rows: Of all variants.
        expected: {variant: {rule: whether it should find a problem}}; of LEARNING the verdict.

    Returns:
        A line for each expectation that does not hold, with the checks of its rule.
    """
    lines = []
    for name, rules in expected.items():
        rows_of_variant = [row for row in rows if row["variant"] == name]
        for rule, expectation in rules.items():
            actual = verdict(rows_of_variant, rule)
            if (actual if rule == LEARNING else actual == PROBLEM) != expectation:
                checks = [describe(row) for row in rows_of_variant if row["rule"] == rule]
                words = expectation
                if isinstance(expectation, bool):
                    words = "a problem" if expectation else "none"
                difference = f"{name}: {rule}: expected {words}, found {actual}"
                lines.append("; ".join([difference, *checks]))
    return lines


def describe(row: Row) -> str:
    """Say in words what a row measured, at which layer, epoch and step, and its threshold."""
    if row["rule"] == LEARNING:
        return str(row["reason"])
    if row["verdict"] == NOT_APPLICABLE:
        return "the rule does not apply to this network"
    measured = "NaN or infinite" if row["measured"] is None else f"{row['measured']:.3g}"
    parts = [f"{key} {row[key]}" for key in ("layer", "epoch", "step") if row[key] is not None]
    location = f" ({', '.join(parts)})" if parts else ""
    limit = f"{row['relation']} {row['threshold']:.3g}"
    return f"{row['quantity']}: {measured}{location}, a problem {limit}"
