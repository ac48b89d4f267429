"""Statements as tests: an effect, two limits and a verdict for each; `article.py` has them.

The limits were written down before the effects were computed (docs/decisions/0005) and are no
parameters: they are not there to be turned.
"""

import inspect
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from vanishing.judging.effects import Tables
from vanishing.params.study import Variant
from vanishing.stats.intervals import Average, arithmetic_mean, interval

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"

# What the names of variants promise. Depth and width are free, but one claim compares like to like.
_SIGMOID = {"activation": "sigmoid", "init": "default", "normalization": "none", "skip": False}
CAST: dict[str, dict[str, Any]] = {
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


@dataclass(frozen=True)
class Claim:
    """One statement and how it is judged.

    Attributes:
        values: The effect of each initialisation or seed, from the tables.
        about: The variants that it compares.
        quantity: What the effect is, in words.
        over: What n counts.
        side: The side of `supported` on which the claim is right.
        supported: The limit that the whole interval must be beyond for the claim to be supported.
        refuted: The limit on the other side.
        average: Of the effects.
        because: {verdict: the theory that explains it}.
    """

    values: Callable[[Tables], pd.Series]
    about: tuple[str, ...]
    quantity: str
    over: Literal["initialisations", "seeds"]
    side: Literal["above", "below"]
    supported: float
    refuted: float
    average: Average
    because: dict[str, str]

    @property
    def name(self) -> str:
        """The identifier."""
        return self.values.__name__.replace("_", "-")

    @property
    def statement(self) -> str:
        """What the article says."""
        return inspect.cleandoc(self.values.__doc__ or "")

    @property
    def formula(self) -> str:
        """The effect as a few lines of Python, in terms of `vanishing.judging.effects`."""
        source = inspect.getsource(self.values)
        body = textwrap.dedent(source[source.rindex('"""') + 3 :]).strip()
        return re.sub("^return ", "effect = ", body, flags=re.MULTILINE)

    @property
    def rule(self) -> str:
        """When the claim is supported and when it is refuted."""
        other = {"above": "below", "below": "above"}[self.side]
        return f"supported {self.side} {self.supported:g}, refuted {other} {self.refuted:g}"


def claim(
    quantity: str,
    over: Literal["initialisations", "seeds"],
    *about: str,
    average: Average = arithmetic_mean,
    because: dict[str, str] | None = None,
    **limits: float,
) -> Callable[[Callable[[Tables], pd.Series]], Claim]:
    """Make a claim of a function of the tables.

    Its docstring is the statement, and what it returns is the effect of each fresh initialisation
    or training seed.

    Args:
        quantity: As in `Claim`.
        over: As in `Claim`.
        *about: As in `Claim`.
        average: As in `Claim`.
        because: As in `Claim`.
        **limits: `above` and `below`; the one on whose side the claim is right comes first.

    Returns:
        The decorator.
    """
    (side, supported), (_, refuted) = limits.items()
    which: Literal["above", "below"] = "above" if side == "above" else "below"

    def enter(values: Callable[[Tables], pd.Series]) -> Claim:
        return Claim(
            values, about, quantity, over, which, supported, refuted, average, because or {}
        )

    return enter


def judge(claim: Claim, tables: Tables, variants: dict[str, Variant]) -> dict[str, Any]:
    """Compute a claim's effect and give its verdict.

    Args:
        claim: What to judge.
        tables: Every variant's rows of each table.
        variants: Those of params.yaml.

    Returns:
        A row of reports/claims.json, numbers not rounded: id, claim, test, evidence, formula,
        effect, interval ([low, high], or None where n is 1), n, average, over, verdict, because.
        NaN stands for an effect that is not known.
    """
    obstacle = miscast(claim, variants)
    values = np.array([]) if obstacle else claim.values(tables).to_numpy(dtype=np.float64)
    effect, low, high = math.nan, None, None
    if len(values):
        effect = float(claim.average(values))
        low, high = interval(values, claim.average)
    verdict = _verdict(claim, *((effect, effect) if low is None or high is None else (low, high)))
    return {
        "id": claim.name,
        "claim": claim.statement,
        "test": claim.rule,
        "evidence": obstacle or claim.quantity,
        "formula": claim.formula,
        "effect": effect,
        "interval": None if low is None else [low, high],
        "n": len(values),
        "average": claim.average.__name__.removesuffix("_mean"),
        "over": claim.over,
        "verdict": verdict,
        "because": claim.because.get(verdict),
    }


def _verdict(claim: Claim, low: float, high: float) -> str:
    """Compare an interval with a claim's limits; NaN is inconclusive."""
    if claim.side == "above":
        supported, refuted = low > claim.supported, high < claim.refuted
    else:
        supported, refuted = high < claim.supported, low > claim.refuted
    return SUPPORTED if supported else REFUTED if refuted else INCONCLUSIVE


def miscast(claim: Claim, variants: dict[str, Variant]) -> str | None:
    """Say why params.yaml lacks what a claim is about, or None where it does not."""
    for name in claim.about:
        if name not in variants:
            return f"params.yaml has no variant {name}"
        for key, promised in CAST[name].items():
            if getattr(variants[name], key) != promised:
                return f"params.yaml has {name} with another {key} than its name says"
    for key in ("depth", "width"):
        if len({getattr(variants[name], key) for name in claim.about}) > 1:
            return f"params.yaml gives {' and '.join(claim.about)} different values of {key}"
    return None
