"""Verdicts on learning as rows of health.json, beside those of the health rules."""

from collections.abc import Mapping, Sequence

from vanishing.judging.learning.verdict import Verdict
from vanishing.judging.verdicts import GRAVITY, Row
from vanishing.params.answers import LEARNING


def to_row(variant: str, verdict: Verdict, seed: int | None = None) -> Row:
    """Return the row of one training.

    Args:
        variant: Its name.
        verdict: On it.
        seed: Its own; None of a watched or recorded training, whose seed is not known.

    Returns:
        The keys of `checks.judge`, with the loss that decides and the layer of the cause; and
        `reason`, the verdict in sentences, and `cause`, what was measured of it, or None.
    """
    cause, limit = verdict.cause, verdict.limit
    return {
        "variant": variant,
        "rule": LEARNING,
        "kind": None,
        "quantity": "loss over that of a constant answer",
        "layer": verdict.layer,
        "seed": seed,
        "epoch": None,
        "step": verdict.step,
        "measured": verdict.loss_share,
        "relation": limit and limit.words,
        "threshold": limit and limit.value,
        "verdict": verdict.answer,
        "reason": str(verdict),
        "cause": cause
        and {
            "name": cause.name,
            "quantity": cause.quantity,
            "measured": cause.measured,
            "relation": cause.limit.words,
            "threshold": cause.limit.value,
        },
    }


def of_run(row: Row) -> Row:
    """Return what runs.json has of the row of one training."""
    elsewhere = ("variant", "rule", "kind", "seed", "epoch")
    return {key: value for key, value in row.items() if key not in elsewhere}


def worst(by_seed: Mapping[int, Row]) -> Row:
    """Return the row of a variant: that of the seed with the gravest verdict, the first of several.

    The worst decides, as for every health rule; `reason` says for how many seeds it is true, of
    trainings that have seeds of their own.
    """
    rows: Sequence[Row] = list(by_seed.values())
    gravest = min(rows, key=lambda row: GRAVITY.index(row["verdict"]))
    if len(rows) == 1 or gravest["seed"] is None:
        return gravest
    count = sum(row["verdict"] == gravest["verdict"] for row in rows)
    return gravest | {"reason": f"{count} of {len(rows)} seeds: {gravest['reason']}"}
