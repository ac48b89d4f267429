"""Checks: the worst of a rule's candidates, held against the rule's limit."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from vanishing.judging.kinds import KINDS, Kind
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import FINE, NOT_APPLICABLE, PROBLEM, UNDEFINED, Row


class Check(NamedTuple):
    """One thing that a rule looks at.

    Attributes:
        quantity: The candidates' values in words.
        candidates: Rows with `value` and any of tensor, layer, seed, epoch and step.
        limit: A value for which it holds is a problem.
        name_tensor: Whether the quantity is completed with the tensor of the worst candidate.
        kind: Of a problem; None for that of the rule.
    """

    quantity: str
    candidates: pd.DataFrame
    limit: Limit
    name_tensor: bool = False
    kind: Kind | None = None


def judge_rule(rule: str, checks: Iterable[Check]) -> list[Row]:
    """Judge the checks of a rule.

    Args:
        rule: Its name.
        checks: None where it does not apply.

    Returns:
        Per check `rule`, `kind` and what `judge` returns; one row where it does not apply.
    """
    rows = [{"kind": check.kind or KINDS[rule], **judge(check)} for check in checks]
    return [{"rule": rule, **row} for row in rows or [{"kind": KINDS[rule], **_not_applicable()}]]


def judge(check: Check) -> Row:
    """Find the worst candidate and give its verdict.

    Candidates that are NaN are left out; where no other is left, the verdict is `undefined`.

    Returns:
        quantity, layer, seed, epoch, step, measured, relation, threshold and verdict. A location
        that the candidates do not have is None.
    """
    worst = _worst(check)
    measured = float(worst.get("value", math.nan))
    tensor = f" of {worst['tensor']}" if check.name_tensor and worst else ""
    verdict = PROBLEM if check.limit.holds(measured) else FINE
    return {
        "quantity": check.quantity + tensor,
        "layer": worst.get("layer"),
        **{key: int(worst[key]) if key in worst else None for key in ("seed", "epoch", "step")},
        "measured": measured,
        "relation": check.limit.words,
        "threshold": check.limit.value,
        "verdict": UNDEFINED if math.isnan(measured) else verdict,
    }


def _worst(check: Check) -> dict[Any, Any]:
    numbers = check.candidates[check.candidates["value"].notna()]
    if numbers.empty:
        return {}
    return numbers.iloc[check.limit.extreme(numbers["value"].to_numpy())].to_dict()


def _not_applicable() -> Row:
    """Return the row of a rule that has no check for a variant: None but for the verdict."""
    keys = ("quantity", "layer", "seed", "epoch", "step", "measured", "relation", "threshold")
    return {**dict.fromkeys(keys), "verdict": NOT_APPLICABLE}
