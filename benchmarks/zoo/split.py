"""Which half of the zoo a case belongs to.

Detectors may be made with the development half. They are judged once, on the two others.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

from benchmarks.zoo.cases import CASES, Case

Half = Literal["development", "held out", "unseen"]
HALVES: tuple[Half, ...] = ("development", "held out", "unseen")
TESTED = HALVES[1:]

_PARTS = 3  # one is for development
_OF_DATASET: Mapping[str, Half] = {"digits": "unseen", "mnist-8x8": "development"}


def half(case: Case) -> Half:
    """Return the half: by the name of its family, so that a base and its faults stay together."""
    if case.dataset in _OF_DATASET:
        return _OF_DATASET[case.dataset]
    number = int(hashlib.sha256(case.family.encode()).hexdigest(), 16)
    return "development" if number % _PARTS == 0 else "held out"


def bases_of(part: Half) -> list[Case]:
    """Return the cases of a half that have no fault and no tag: those that faults are given to."""
    return [case for case in CASES if case.fault is None and not case.tags and half(case) == part]
