"""Statements as tests: an effect, two limits and a verdict for each.

The limits were written down before the effects were computed (docs/decisions/0005). They stand in
the code and not in params.yaml, because nobody should tune them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vanishing.judging.effects import Tables
from vanishing.judging.formulas import Formula
from vanishing.judging.limits import Limit
from vanishing.judging.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED
from vanishing.params.study import AnyVariant, Built, Recorded
from vanishing.stats.intervals import Average, arithmetic_mean, geometric_mean, interval

AVERAGES: dict[str, Average] = {"arithmetic": arithmetic_mean, "geometric": geometric_mean}

# The settings that a variant's name promises. Depth and width are free.
_SIGMOID = {
    "activation": "sigmoid",
    "init": "default",
    "normalization": "none",
    "skip": False,
}
EXPECTED_SETTINGS: dict[str, dict[str, Any]] = {
    "sigmoid": _SIGMOID,
    "sigmoid-xavier": _SIGMOID | {"init": "xavier_uniform"},
    "sigmoid-batchnorm": _SIGMOID | {"normalization": "batch"},
    "sigmoid-skip": _SIGMOID | {"skip": True},
    "sigmoid-large-init": _SIGMOID | {"init": "normal", "std": 1.0},
    "tanh": _SIGMOID | {"activation": "tanh"},
    "tanh-xavier": _SIGMOID | {"activation": "tanh", "init": "xavier_uniform"},
    "relu": _SIGMOID | {"activation": "relu"},
    "relu-he": _SIGMOID | {"activation": "relu", "init": "he_uniform"},
    "swish": _SIGMOID | {"activation": "swish"},
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and how it is judged.

    Attributes:
        id: Its identifier.
        kind: Whether it is about a cause of vanishing gradients, an effect, or a remedy.
        statement: What the article says, in our words.
        quantity: The effect in words.
        effect: A number per fresh initialisation or training seed, as a formula over the tables.
        over: What the effect has a number for each of.
        average: Of these numbers: the key of AVERAGES.
        supported: The limit beyond which the whole interval must lie to support the claim.
        refuted: The limit beyond which it must lie to refute the claim, on the other side.
        because: {verdict: the theory that explains it}.
    """

    id: str
    kind: Literal["cause", "effect", "remedy"]
    statement: str
    quantity: str
    effect: Formula
    over: Literal["initialisations", "seeds"]
    average: Literal["arithmetic", "geometric"] = "arithmetic"
    supported: Limit
    refuted: Limit
    because: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> tuple[str, ...]:
        """The variants that it compares; empty where it is about all of them."""
        return self.effect.variants

    @property
    def formula(self) -> str:
        """The effect as a line of Python, over the functions of `vanishing.judging.effects`."""
        return f"effect = {self.effect.source}"

    @property
    def test(self) -> str:
        """Both limits in words."""
        return f"supported {self.supported}, refuted {self.refuted}"

    def verdict(self, low: float, high: float) -> str:
        """Compare an interval with the limits; NaN is inconclusive."""
        if self.supported.holds_between(low, high):
            return SUPPORTED
        return REFUTED if self.refuted.holds_between(low, high) else INCONCLUSIVE


def judge(claim: Claim, tables: Tables, variants: Mapping[str, AnyVariant]) -> dict[str, Any]:
    """Compute a claim's effect and give its verdict.

    Args:
        claim: The claim.
        tables: {table: frame of all variants that the study trains}.
        variants: Those of params.yaml.

    Returns:
        A row of reports/claims.json, numbers not rounded: id, kind, claim, test, evidence, formula,
        effect, interval ([low, high], or None where n is 0 or 1), n, average, over, verdict,
        because. An unknown effect is NaN.
    """
    obstacle = mismatch(claim, variants)
    values = np.array([]) if obstacle else claim.effect.values(tables).to_numpy(dtype=np.float64)
    effect, bounds = math.nan, None
    if len(values):
        average = AVERAGES[claim.average]
        effect = float(average(values))
        low, high = interval(values, average)
        bounds = None if low is None or high is None else (low, high)
    verdict = claim.verdict(*(bounds or (effect, effect)))
    return {
        "id": claim.id,
        "kind": claim.kind,
        "claim": claim.statement,
        "test": claim.test,
        "evidence": obstacle or claim.quantity,
        "formula": claim.formula,
        "effect": effect,
        "interval": None if bounds is None else list(bounds),
        "n": len(values),
        "average": claim.average,
        "over": claim.over,
        "verdict": verdict,
        "because": claim.because.get(verdict),
    }


def mismatch(claim: Claim, variants: Mapping[str, AnyVariant]) -> str | None:
    """Say in which way params.yaml lacks the variants that a claim is about.

    Args:
        claim: The claim.
        variants: Those of params.yaml.

    Returns:
        The first reason: a variant is missing, is a recorded run or a network that a function
        returns, is trained otherwise than `train` says, has another setting than its name promises,
        or another depth or width than the variant that it is compared with. None where there is
        none.
    """
    for name in claim.about:
        if name not in variants:
            return f"params.yaml has no variant {name}"
        difference = _differs_from_name(name, variants[name])
        if difference:
            return difference
    for key in ("depth", "width"):
        if len({getattr(variants[name], key) for name in claim.about}) > 1:
            return f"params.yaml gives {' and '.join(claim.about)} different values of {key}"
    return None


def _differs_from_name(name: str, variant: AnyVariant) -> str | None:
    if isinstance(variant, Recorded):
        return f"params.yaml has {name} as a recorded run"
    if isinstance(variant, Built):
        return f"params.yaml has {name} as a network that a function returns"
    if variant.training:
        return f"params.yaml gives {name} its own {', '.join(variant.training)}"
    for key, expected in EXPECTED_SETTINGS[name].items():
        if getattr(variant, key) != expected:
            return f"params.yaml has {name} with another {key} than its name says"
    return None
