"""Statements as tests: an effect, two limits and a verdict for each.

The limits are written down before the effects are computed (docs/decisions/0005, 0021), but for the
claims that say otherwise (`after_results`, docs/decisions/0029). They stand in the code and not in
params.yaml, because nobody should tune them. Where a study has several seeds the verdicts about
trained networks follow from docs/decisions/0020.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vanishing.judging.effects import Tables
from vanishing.judging.formulas import Formula
from vanishing.judging.limits import Limit
from vanishing.judging.mismatches import Settings, mismatch
from vanishing.judging.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, Row
from vanishing.params.study import Study
from vanishing.stats import holm, student
from vanishing.stats.intervals import Average, arithmetic_mean, geometric_mean, interval

AFTER_RESULTS = "limits written after the first results were known"

AVERAGES: dict[str, Average] = {"arithmetic": arithmetic_mean, "geometric": geometric_mean}

_ALPHA = 1 - student.LEVEL

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and how it is judged.

    Attributes:
        id: Its identifier.
        kind: Whether it is about a cause of vanishing gradients, an effect, or a remedy.
        statement: What is claimed, as the article says it in our words.
        quantity: The effect in words.
        effect: A number per fresh initialisation or training seed, as a formula over the tables.
        over: What the effect has a number for each of.
        average: Of these numbers: the key of AVERAGES.
        supported: The limit beyond which the whole interval must lie to support the claim.
        refuted: The limit beyond which it must lie to refute the claim, on the other side.
        because: {verdict: the theory that explains it}.
        after_results: Whether the limits were written when results of the study were known already.
            The evidence says so wherever the claim is shown.
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
    after_results: bool = False

    @property
    def evidence(self) -> str:
        """The effect in words, and whether its limits were written after results were known."""
        return f"{self.quantity} ({AFTER_RESULTS})" if self.after_results else self.quantity

    @property
    def formula(self) -> str:
        """The effect as a line of Python, over functions that the report shows."""
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


def judge_all(
    claims: Sequence[Claim], expected: Mapping[str, Settings], tables: Tables, study: Study
) -> list[Row]:
    """Compute the effects of all claims of a study and give their verdicts.

    Args:
        claims: In the order of the rows.
        expected: {variant: the settings that its name promises}.
        tables: {table: frame of all variants that the study trains}.
        study: With the variants.

    Returns:
        The rows of `judge`, corrected for the number of claims about trained networks where there
        are several seeds, as `correct` does.
    """
    rows = [judge(claim, expected, tables, study) for claim in claims]
    return correct(claims, rows)


def judge(claim: Claim, expected: Mapping[str, Settings], tables: Tables, study: Study) -> Row:
    """Compute a claim's effect and give its verdict.

    Args:
        claim: The claim.
        expected: {variant: the settings that its name promises}.
        tables: {table: frame of all variants that the study trains}.
        study: With the variants.

    Returns:
        A row of reports/claims.json, numbers not rounded: id, kind, claim, test, evidence, formula,
        effect, interval ([low, high], or None where n is 0 or 1), n, average, over, verdict,
        because. An unknown effect is NaN. Where the effect has a number for each of several seeds,
        also `p` and `detectable`, as `_test` returns them.
    """
    obstacle = mismatch(claim.effect, expected, study)
    values = np.array([]) if obstacle else claim.effect.values(tables).to_numpy(dtype=np.float64)
    effect, bounds = math.nan, None
    tested: dict[str, float] = {}
    if len(values):
        average = AVERAGES[claim.average]
        effect = float(average(values))
        if claim.over == "seeds" and len(values) > 1:
            bounds, tested = _test(claim, values)
        else:
            low, high = interval(values, average)
            bounds = None if low is None or high is None else (low, high)
    verdict = claim.verdict(*(bounds or (effect, effect)))
    return {
        "id": claim.id,
        "kind": claim.kind,
        "claim": claim.statement,
        "test": claim.test,
        "evidence": obstacle or claim.evidence,
        "formula": claim.formula,
        "effect": effect,
        "interval": None if bounds is None else list(bounds),
        "n": len(values),
        "average": claim.average,
        "over": claim.over,
        "verdict": verdict,
        "because": claim.because.get(verdict),
        **tested,
    }


def _test(claim: Claim, values: Values) -> tuple[tuple[float, float], dict[str, float]]:
    """Test the mean of a number per seed against both limits.

    A geometric mean is tested on logarithms.

    Args:
        claim: With the limits.
        values: (n,), n of at least 2.

    Returns:
        Student's 95 % interval, and {`p`: twice the smaller of the two one-sided p-values, at most
        1; `detectable`: the smallest distance from a limit that n seeds would have shown, as a
        difference, or as a factor where the average is geometric}.
    """
    logarithmic = claim.average == "geometric"
    scale: Callable[[Any], Any] = np.log if logarithmic else np.asarray
    back: Callable[[Any], Any] = np.exp if logarithmic else np.asarray
    # A value or a limit may be 0, and an interval of logarithms wider than float64.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = scale(values)
        p_values = [_p_beyond(limit, scaled, scale) for limit in (claim.supported, claim.refuted)]
        bounds = student.mean_interval(scaled)
        low, high, detectable = back([bounds.low, bounds.high, student.detectable(scaled)]).tolist()
    p = float(np.minimum(1.0, 2 * np.min(p_values)))  # NaN where one is
    return (low, high), {"p": p, "detectable": detectable}


def _p_beyond(limit: Limit, values: Values, scale: Callable[[Any], Any]) -> float:
    """Return the one-sided p of the hypothesis that the mean is not beyond a limit."""
    sign = -1 if limit.relation == "<" else 1
    return student.p_above(sign * values, sign * float(scale(limit.value)))


def correct(claims: Sequence[Claim], rows: Sequence[Row]) -> list[Row]:
    """Correct verdicts about trained networks for their number (Holm 1979).

    Args:
        claims: Of the rows.
        rows: As from `judge`.

    Returns:
        The rows. Those that have a `p` get `p_holm`, adjusted for the number of these; a verdict is
        inconclusive where it is above 5 %.
    """
    adjusted = iter(holm.adjust([row["p"] for row in rows if "p" in row]))
    corrected = []
    for claim, row in zip(claims, rows, strict=True):
        if "p" in row:
            p_holm = next(adjusted)
            verdict = row["verdict"] if p_holm <= _ALPHA else INCONCLUSIVE
            because = claim.because.get(verdict)
            row = row | {"verdict": verdict, "because": because, "p_holm": p_holm}  # noqa: PLW2901
        corrected.append(row)
    return corrected
