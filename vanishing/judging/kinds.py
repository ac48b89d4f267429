"""The kinds of health rules: what a problem says of a training that has ended.

Sorted by how often each rule alone finds a problem in trainings that will not learn and in those
that learn (`benchmarks/zoo`); docs/verdicts.md has the numbers.
"""

from collections.abc import Iterable
from typing import Literal

Kind = Literal["fails", "warning", "note"]
FAILS: Kind = "fails"  # the training has failed: hardly one that learns has such a problem
WARNING: Kind = "warning"  # more frequent where a training fails, but many that learn have it
NOTE: Kind = "note"  # tells failing from learning not at all, or the wrong way round
KINDS_BY_GRAVITY = (FAILS, WARNING, NOTE)

KINDS: dict[str, Kind] = {
    "exploding_tensor": FAILS,
    "nonfinite_loss": FAILS,
    "loss_not_decreasing": FAILS,
    "at_chance": FAILS,
    "vanishing_gradient": WARNING,
    "all_zero": WARNING,
    "dead_relu": WARNING,
    "unchanged_tensor": WARNING,
    "update_ratio": WARNING,
    "poor_initialisation": WARNING,  # by the stall of the loss alone; its other checks are notes
    "vanishing_attenuation": WARNING,
    "saturated_activation": NOTE,
    "exploding_attenuation": NOTE,
    "overfit": NOTE,
    "overtraining": NOTE,
}


def in_order(rules: Iterable[str]) -> list[str]:
    """Return the rules with the gravest kind first, and within a kind as they stand in KINDS."""
    return sorted(rules, key=list(KINDS).index)
