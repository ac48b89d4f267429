"""Up to where networks train: those of a study that differ in one number, side by side."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vanishing.params.study import Study, Training, Variant

LEARNED = 0.5  # test accuracy above which a network trains: the rule of studies/depth/claims.py
SIX_SCALES = 3.0  # √χ^(6 ξ) = exp(-3) of the gradient is left, since ξ = -1 / ln χ
OF_NETWORK = ("activation", "init", "std", "normalization", "skip")  # without depth and width


class Results(NamedTuple):
    """A study's settings and what its reports say of it.

    Attributes:
        study: Its settings.
        metrics: {variant: {metric: value}}, of metrics.json.
        claims: Rows of claims.json.
    """

    study: Study
    metrics: Mapping[str, Mapping[str, Any]]
    claims: list[dict[str, Any]]

    def accuracy(self, variant: str) -> float:
        """Return the test accuracy at the end, 0 to 1; NaN where it is not known."""
        value = self.metrics[variant]["test_accuracy"]
        return math.nan if value is None else float(value)

    def trains(self, variant: str) -> bool:
        """Tell whether a network's test accuracy is above LEARNED; it is not where it is NaN."""
        return self.accuracy(variant) > LEARNED


class Point(NamedTuple):
    """One of several networks that differ in a number alone.

    Attributes:
        variant: Its name.
        value: The number: a depth, a width or a learning rate.
        accuracy: On test images, 0 to 1.
    """

    variant: str
    value: float
    accuracy: float


def points_along(results: Results, name: str, setting: str) -> list[Point]:
    """Find the networks of a study that differ from one in a setting at most.

    Args:
        results: Of the study.
        name: Of the variant, a multilayer perceptron.
        setting: `depth` or `width`.

    Returns:
        A point for each, that of the variant among them, by the setting's value.
    """
    study = results.study
    kept = [key for key in (*OF_NETWORK, "depth", "width") if key != setting]
    points = [
        Point(other, getattr(variant, setting), results.accuracy(other))
        for other, variant in study.perceptrons.items()
        if same(study.perceptrons[name], variant, kept)
        and steps_alike(study.training(name), study.training(other))
    ]
    return sorted(points, key=lambda point: point.value)


def same(one: Variant, other: Variant, settings: Iterable[str]) -> bool:
    """Tell whether two networks have the same value of each of some settings."""
    return all(getattr(one, key) == getattr(other, key) for key in settings)


def steps_alike(one: Training, other: Training) -> bool:
    """Tell whether two trainings take the same steps, on however many examples."""
    return one.optimizer == other.optimizer and one.clip_norm == other.clip_norm


def describe_range(points: Iterable[Point], unit: str = "") -> str:
    """Say up to which value networks train, or between which values they cease to.

    Args:
        points: At least one, by their value.
        unit: Of the value, in the plural.

    Returns:
        For example "stops between 10 and 20 layers".
    """
    points = list(points)
    unit = f" {unit}" if unit else ""
    working = [point.value for point in points if point.accuracy > LEARNED]
    failing = [point.value for point in points if not point.accuracy > LEARNED]
    if len(points) == 1:
        verb = "trains" if working else "fails"
        return f"{verb} at {points[0].value:g}{unit}, no other measured"
    if not failing:
        return f"trains up to {working[-1]:g}{unit}, the most that was measured"
    if not working:
        return f"fails from {failing[0]:g}{unit} on, the least that was measured"
    if working[-1] < failing[0]:
        return f"stops between {working[-1]:g} and {failing[0]:g}{unit}"
    return f"trains at {', '.join(f'{value:g}' for value in working)}{unit} alone"


def six_depth_scales(hop: float) -> float:
    """Return the number of hops over which six depth scales reach, 6 ξ with ξ = -1 / (2 ln hop).

    Args:
        hop: Theory's factor per hop, √χ, above 0.

    Returns:
        The hops after which exp(-3) of the gradient is left; infinity where it does not shrink.
    """
    return math.inf if hop >= 1 else -SIX_SCALES / math.log(hop)
