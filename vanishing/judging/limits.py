"""Limits that a number is held against: `Limit(">", 0.9)` reads "above 0.9"."""

import operator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Relation = Literal["<", ">", ">="]

_COMPARE = {"<": operator.lt, ">": operator.gt, ">=": operator.ge}
_WORDS = {"<": "below", ">": "above", ">=": "at least"}


@dataclass(frozen=True)
class Limit:
    """One side of a value.

    Attributes:
        relation: Of a number, on its left, to `value`, on its right.
        value: Of the limit.
    """

    relation: Relation
    value: float

    def __str__(self) -> str:
        return f"{self.words} {self.value:g}"

    @property
    def words(self) -> str:
        """The relation in words: below, above or at least."""
        return _WORDS[self.relation]

    def holds(self, x: float) -> bool:
        """Tell whether x stands in the relation to the value; NaN never does."""
        return bool(_COMPARE[self.relation](x, self.value))

    def holds_between(self, low: float, high: float) -> bool:
        """Tell whether all of [low, high] is on this side: the end closest to the value decides."""
        return self.holds(high if self.relation == "<" else low)

    def extreme(self, values: NDArray[Any]) -> int:
        """Return the index of the value that is furthest to this side, the first among equals.

        Args:
            values: (n,), n of at least 1, none of them NaN.

        Returns:
            The index of the smallest value for `<`, otherwise of the largest.
        """
        return int(np.argmin(values) if self.relation == "<" else np.argmax(values))
