"""What the rows of reports/health.json amount to: verdicts by rule, in words, and as expected."""

from pathlib import Path
from typing import Any

from vanishing.errors import StudyError
from vanishing.files import read_json

PROBLEM, FINE, UNDEFINED, NOT_APPLICABLE = "problem", "fine", "undefined", "not applicable"

Row = dict[str, Any]


def read(path: Path) -> Any:
    """Read a file that `diagnose` writes.

    Returns:
        Its content.

    Raises:
        StudyError: If it is missing or damaged.
    """
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StudyError(f"{path}: cannot be read ({reason}); run: dvc repro diagnose") from None


def verdict(rows: list[Row], rule: str) -> str:
    """Sum up what the checks of one rule say of one variant: the gravest of their verdicts."""
    found = {row["verdict"] for row in rows if row["rule"] == rule}
    return next(each for each in (PROBLEM, UNDEFINED, FINE, NOT_APPLICABLE) if each in found)


def in_words(rows: list[Row]) -> str:
    """Say of one variant what its gradient does at initialisation, and what training made of it."""
    vanishing = verdict(rows, "vanishing_attenuation")
    gradient = {
        vanishing == PROBLEM: "vanishing",
        verdict(rows, "exploding_attenuation") == PROBLEM: "exploding",
        vanishing == UNDEFINED: "not finite",
    }.get(True, "steady")
    training = {
        verdict(rows, "at_chance") == PROBLEM: "at chance",
        verdict(rows, "nonfinite_loss") == PROBLEM: "diverged",
    }.get(True, "learned")
    return f"{gradient}, {training}"


def unmet(rows: list[Row], expected: dict[str, dict[str, bool]]) -> list[str]:
    """Compare the verdicts with what params.yaml expects.

    Returns:
        A line for each expectation that does not hold.
    """
    lines = []
    for name, rules in expected.items():
        own = [row for row in rows if row["variant"] == name]
        for rule, wanted in rules.items():
            found = verdict(own, rule)
            if (found == PROBLEM) != wanted:
                lines.append(
                    f"{name}: {rule}: expected {'a problem' if wanted else 'none'}, found {found}"
                    + "".join(f"; {describe(row)}" for row in own if row["rule"] == rule)
                )
    return lines


def describe(row: Row) -> str:
    """Say in words what a row measured, where, and against which threshold."""
    if row["verdict"] == NOT_APPLICABLE:
        return "the rule does not apply to this network"
    measured = "NaN or infinite" if row["measured"] is None else f"{row['measured']:.3g}"
    where = [f"{key} {row[key]}" for key in ("layer", "epoch", "step") if row[key] is not None]
    place = f" ({', '.join(where)})" if where else ""
    return (
        f"{row['quantity']}: {measured}{place}, a problem {row['relation']} {row['threshold']:.3g}"
    )
