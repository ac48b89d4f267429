"""What the report shows of a study that is too large to be shown whole; it says what it left out.

The rest is not lost: reports/metrics.json and health.json have every variant, the Parquet files
every epoch, and reports/figures/variants a figure of each variant.
"""

import math
from collections.abc import Mapping
from typing import Any

VARIANTS = 24  # the most in one figure or table
EPOCHS = 100  # the most that DVC's plots have of one variant

Metrics = Mapping[str, Mapping[str, Any]]


def shown(metrics: Metrics, baseline: str) -> list[str]:
    """Choose the variants that figures and tables show: all, where they are `VARIANTS` or fewer.

    Otherwise the baseline and some of each verdict: places go to the verdicts in turn, so that a
    rare one is shown whole and a frequent one has the rest; within a verdict the variants lie
    evenly between its smallest and its largest attenuation at initialisation.

    Args:
        metrics: As in reports/metrics.json.
        baseline: The variant that is always shown.

    Returns:
        Their names, in the order of `metrics`.
    """
    if len(metrics) <= VARIANTS:
        return list(metrics)
    groups = [[name for name in own if name != baseline] for own in by_verdict(metrics).values()]
    places = [0] * len(groups)
    free = VARIANTS - 1
    while free:
        for index, group in enumerate(groups):
            if free and places[index] < len(group):
                places[index] += 1
                free -= 1
    chosen = {baseline}
    for group, count in zip(groups, places, strict=True):
        chosen.update(group[index] for index in spread(len(group), count))
    return [name for name in metrics if name in chosen]


def by_verdict(metrics: Metrics) -> dict[str, list[str]]:
    """Return {verdict: its variants, from the smallest attenuation at initialisation upwards}."""

    def attenuation(name: str) -> float:
        found = metrics[name]["attenuation_init"]
        return math.inf if found is None else found

    groups: dict[str, list[str]] = {}
    for name in sorted(metrics, key=attenuation):
        groups.setdefault(metrics[name]["verdict"], []).append(name)
    return groups


def spread(length: int, count: int) -> list[int]:
    """Return `count` of the indices 0 … length - 1 at even distances, the ends among them.

    Returns:
        All of them, where there are no more.
    """
    count = min(length, count)
    if count < 2:  # noqa: PLR2004 - one has no distance
        return list(range(count))
    return [round(i * (length - 1) / (count - 1)) for i in range(count)]
