"""Variants, verdicts, claims and numbers that differ between two results."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from vanishing.comparing.noise import Network, network, overlap, paired_interval, rounding
from vanishing.comparing.results import Metrics, Results
from vanishing.judging import verdicts

NONE = "-"  # the verdict of a rule or a claim that one side does not have
WORDS = "verdict"  # the key of metrics.json that is no number
_ENDS = ("_low", "_high")  # of an interval: no numbers of their own
_FRESH = ("attenuation_fresh", "hop_fresh")  # means over fresh initialisations

# The better direction of a metric. Of others it is only said that they changed.
_BETTER = {
    "test_accuracy": 1,
    "train_accuracy": 1,
    "test_loss": -1,
    "train_loss": -1,
    "generalization_gap": -1,
}

Reason = Literal["change", "rounding", "growing", "seeds", "initialisations"]


@dataclass(frozen=True)
class Variants:
    """Which variant of the one side is which of the other.

    Attributes:
        pairs: {name after: name before}, of those that both have.
        added: Names of those that only the new side has.
        removed: Names of those that only the old side has.
    """

    pairs: Mapping[str, str]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """{name after: name before} where the names differ."""
        return {after: before for after, before in self.pairs.items() if after != before}


@dataclass(frozen=True)
class VerdictChange:
    """A verdict on a variant that differs; names are those afterwards.

    Attributes:
        variant: The variant.
        rule: A health rule; None for the verdict in words.
        before: The verdict; NONE if there was no such rule.
        after: The same, afterwards.
    """

    variant: str
    rule: str | None
    before: str
    after: str


@dataclass(frozen=True)
class ClaimChange:
    """A claim whose verdict differs.

    Attributes:
        statement: The claim.
        before: The verdict; NONE if there was no such claim.
        after: The same, afterwards.
        effects: The effect, before and after.
    """

    statement: str
    before: str
    after: str
    effects: tuple[float | None, float | None]


@dataclass(frozen=True)
class Difference:
    """A number of a variant that differs.

    Attributes:
        variant: Its name afterwards.
        metric: Its key in metrics.json.
        before: The number; None if it is not finite.
        after: The same, afterwards.
        size: The difference in units of the number's scale; infinite where one side is not finite.
        reason: `change`, or what kind of noise explains it.
        seeds: How many training seeds were compared one by one; 1 where they are not known.
    """

    variant: str
    metric: str
    before: float | None
    after: float | None
    size: float
    reason: Reason
    seeds: int

    @property
    def is_better(self) -> bool | None:
        """Whether the change is for the better; None where the metric has no direction."""
        if self.metric not in _BETTER or self.before is None or self.after is None:
            return None
        return (self.after - self.before) * _BETTER[self.metric] > 0


def match_variants(old: Results, new: Results) -> Variants:
    """Match the variants that have metrics, by name.

    Returns:
        The variants. A removed one is the same as an added one if all its settings, but for
        `compare_to`, are those of this one alone.
    """
    pairs = {name: name for name in new.metrics if name in old.metrics}
    removed = [name for name in old.metrics if name not in pairs]
    added = [name for name in new.metrics if name not in pairs]
    for name in added:
        same = [other for other in removed if _settings(old, other) == _settings(new, name)]
        rivals = [other for other in added if _settings(new, other) == _settings(new, name)]
        if len(same) == 1 and len(rivals) == 1 and _settings(new, name):
            pairs[name] = same[0]
    return Variants(
        {name: pairs[name] for name in new.metrics if name in pairs},
        tuple(name for name in added if name not in pairs),
        tuple(name for name in removed if name not in pairs.values()),
    )


def _settings(results: Results, variant: str) -> dict[str, Any]:
    settings = results.variants.get(variant, {})
    return {key: value for key, value in settings.items() if key != "compare_to"}


def changed_verdicts(
    old: Results, new: Results, pairs: Mapping[str, str]
) -> Iterator[VerdictChange]:
    """Compare the verdict in words, then that of each health rule, variant by variant."""
    for name, before in pairs.items():
        first, second = old.metrics[before].get(WORDS), new.metrics[name].get(WORDS)
        if first != second:
            yield VerdictChange(name, None, str(first), str(second))
        rows = old.health.get(before, []), new.health.get(name, [])
        rules = dict.fromkeys(row["rule"] for of_side in rows for row in of_side)
        for rule in rules:
            first, second = (_verdict(of_side, rule) for of_side in rows)
            if first != second:
                yield VerdictChange(name, rule, first, second)


def _verdict(rows: list[verdicts.Row], rule: str) -> str:
    known = any(row["rule"] == rule for row in rows)
    return verdicts.verdict(rows, rule) if known else NONE


def changed_claims(old: Results, new: Results) -> Iterator[ClaimChange]:
    """Compare the verdict on each claim."""
    for key, row in (old.claims | new.claims).items():
        before, after = old.claims.get(key, {}), new.claims.get(key, {})
        first, second = (side.get("verdict", NONE) for side in (before, after))
        if first != second:
            effects = before.get("effect"), after.get("effect")
            yield ClaimChange(row["claim"], first, second, effects)


def changed_numbers(old: Results, new: Results, pairs: Mapping[str, str]) -> Iterator[Difference]:
    """Compare the numbers of metrics.json that both sides have.

    Where both sides have runs.json, numbers of training runs are compared over the seeds that both
    have, and left out where there are none.

    Args:
        old: Before.
        new: Afterwards.
        pairs: {variant after: variant before}.

    Yields:
        Each number that differs, by noise or by more.
    """
    for name, before in pairs.items():
        sides = (
            _Side(old.metrics[before], _runs(old, before)),
            _Side(new.metrics[name], _runs(new, name)),
        )
        seeds = sorted(sides[0].by_seed.keys() & sides[1].by_seed.keys())
        numbers = sides[0].over(seeds, sides[1]), sides[1].over(seeds, sides[0])
        where = network(new.params, name)
        for metric in filter(_is_number, numbers[1]):
            if metric in numbers[0] and numbers[0][metric] != numbers[1][metric]:
                by_seed = [
                    tuple(side.by_seed[seed].get(metric) for side in sides) for seed in seeds
                ]
                size, reason = _explain(metric, numbers, by_seed, where)
                values = numbers[0][metric], numbers[1][metric]
                yield Difference(name, metric, *values, size, reason, max(1, len(seeds)))


class _Side(NamedTuple):
    """The numbers of a variant on one side: means over its seeds, and those of each seed."""

    means: Metrics
    by_seed: Mapping[int, Metrics]

    def over(self, seeds: Sequence[int], other: "_Side") -> dict[str, float | None]:
        """Return the numbers that are comparable with those of the other side.

        Args:
            seeds: Those that both sides have.
            other: The other side.

        Returns:
            {metric: number}: means over these seeds of what belongs to training runs; without it
            where there are no such seeds, and as it is where the seeds of one side are not known.
        """
        numbers = dict(self.means)
        if not self.by_seed or not other.by_seed or self.by_seed.keys() == other.by_seed.keys():
            return numbers
        for key in next(iter(self.by_seed.values())):
            numbers.pop(key, None)
            values = [self.by_seed[seed].get(key) for seed in seeds]
            finite = [value for value in values if value is not None]
            if seeds:
                numbers[key] = sum(finite) / len(seeds) if len(finite) == len(seeds) else None
        return numbers


def _explain(
    metric: str,
    numbers: tuple[Metrics, Metrics],
    by_seed: Sequence[tuple[float | None, ...]],
    where: Network,
) -> tuple[float, Reason]:
    """Return the size of one difference, and what explains it.

    Args:
        metric: That differs.
        numbers: All numbers of the variant, before and after.
        by_seed: The metric before and after, of each seed that both sides have; None of a metric
            that is not of training runs.
        where: The network.
    """
    before, after = (side[metric] for side in numbers)
    if before is None or after is None:
        return math.inf, "change"
    differences = [b - a for a, b in by_seed if a is not None and b is not None]
    by_chance = len(differences) == len(by_seed) > 1
    if by_chance:  # rounding that grows is as random as a seed, and widens the seeds' interval
        where = where._replace(grows=False)
    allowed = rounding(metric, *numbers, where)
    size = abs(after - before) / allowed.scale
    if abs(after - before) <= allowed.bound:
        return size, "growing" if allowed.grows else "rounding"
    if by_chance:
        low, high = paired_interval(differences)
        if low <= 0 <= high:
            return size, "seeds"
    if metric in _FRESH and overlap(*numbers):
        return size, "initialisations"
    return size, "change"


def _runs(results: Results, variant: str) -> dict[int, Metrics]:
    return {seed: row["metrics"] for seed, row in results.runs.get(variant, {}).items()}


def _is_number(metric: str) -> bool:
    return metric != WORDS and not metric.endswith(_ENDS)


def names_of_numbers(results: Results) -> set[str]:
    """Return the metrics that any variant has."""
    return {key for numbers in results.metrics.values() for key in numbers if _is_number(key)}
