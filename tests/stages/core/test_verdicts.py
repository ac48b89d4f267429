"""Verdicts on both sides of each threshold."""

import math

import pytest

from stages.core.params import Diagnose
from stages.core.verdicts import gradient_verdict, training_verdict

THRESHOLDS = Diagnose(vanishing_below=0.01, exploding_above=100.0, chance_margin=0.02)


@pytest.mark.parametrize(
    ("attenuation", "verdict"),
    [
        (0.0, "vanishing"),
        (0.0099, "vanishing"),
        (0.01, "steady"),
        (100.0, "steady"),
        (100.1, "exploding"),
        (math.inf, "not finite"),
        (math.nan, "not finite"),
    ],
)
def test_gradient(attenuation: float, verdict: str) -> None:
    assert gradient_verdict(attenuation, THRESHOLDS) == verdict


@pytest.mark.parametrize(
    ("losses", "accuracy", "verdict"),
    [
        ([2.3, 2.3], 0.1135, "at chance"),
        ([2.3, 2.3], 0.119, "at chance"),
        ([2.3, 0.1], 0.97, "learned"),
        ([2.3, 2.2], 0.121, "learned"),
        ([2.3, math.nan], 0.97, "diverged"),
        ([math.inf, 2.3], 0.1, "diverged"),
    ],
)
def test_training(losses: list[float], accuracy: float, verdict: str) -> None:
    assert training_verdict(losses, accuracy, 10, THRESHOLDS) == verdict
