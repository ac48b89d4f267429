"""Which variants and epochs the report shows of a study that is too large to be shown whole.

reports/metrics.json and health.json have every variant, the Parquet files every epoch, and
reports/figures/variants a figure of each variant. The report says how many it left out.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from vanishing.params.comparisons import differences
from vanishing.params.study import Study

VARIANTS = 24  # the most in one figure or table
EPOCHS = 100  # the most that DVC's plots have of one variant
PAIRS = 4  # the most in the figure of standard and Xavier weights

Metrics = Mapping[str, Mapping[str, Any]]


def choose_variants(metrics: Metrics, baseline: str) -> list[str]:
    """Choose the variants that figures and tables show: all, where they are `VARIANTS` or fewer.

    Of more variants, the baseline and some of each verdict. The places go to the verdicts in turn:
    a rare verdict is shown whole, a frequent one has the remaining places. Within a verdict the
    variants lie evenly between its smallest and its largest attenuation at initialisation.

    Args:
        metrics: As in reports/metrics.json.
        baseline: The variant that is always shown.

    Returns:
        Their names, in the order of `metrics`.
    """
    if len(metrics) <= VARIANTS:
        return list(metrics)
    groups = [
        [name for name in names if name != baseline] for names in by_verdict(metrics).values()
    ]
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
    """Return {verdict: its variants, from the smallest attenuation at initialisation upwards}.

    An attenuation that is not finite comes last.
    """

    def attenuation(name: str) -> float:
        value = metrics[name]["attenuation_init"]
        return math.inf if value is None else value

    groups: dict[str, list[str]] = {}
    for name in sorted(metrics, key=attenuation):
        groups.setdefault(metrics[name]["verdict"], []).append(name)
    return groups


def spread(length: int, count: int) -> list[int]:
    """Return `count` of the indices 0 … length - 1 at even distances, with both ends.

    Returns:
        The indices, ascending; all of them where `count` is `length` or more.
    """
    count = min(length, count)
    if count < 2:  # noqa: PLR2004 - one has no distance
        return list(range(count))
    return [round(i * (length - 1) / (count - 1)) for i in range(count)]


def xavier_pairs(study: Study, names: Collection[str]) -> list[tuple[str, str]]:
    """Return (reference, variant) for variants that differ from it in Xavier weights alone.

    Args:
        study: With the variants.
        names: Those that are shown.

    Returns:
        At most `PAIRS` pairs, of variants that are both shown.
    """
    xavier = {"init": ("default", "xavier_uniform")}
    pairs = []
    for name in names:
        reference = study.variants[name].compare_to
        if reference is not None and reference in names and differences(study, name) == xavier:
            pairs.append((reference, name))
    return pairs[:PAIRS]
