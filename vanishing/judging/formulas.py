"""Effects as formulas over the functions that claims are made of: computed here, shown as Python.

`Effect(hop, "relu") / Effect(hop, "sigmoid")` is computed by `values` and shown by `source` as
`hop(t, "relu") / hop(t, "sigmoid")`, which a reader can run.
"""

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from vanishing.judging.effects import Tables

_OPERATIONS = {"/": operator.truediv, "-": operator.sub}


@dataclass(frozen=True)
class Effect:
    """A call of a function: a number per fresh initialisation or training seed.

    Attributes:
        function: Of effects.py or of the claims' own module. Called with the tables and the
            argument, it returns a series indexed by seed.
        argument: A variant's name, or several in a tuple, or a function whose result is the
            argument: called with the tables, it returns a number per run of all variants, indexed
            by seed and variant.
    """

    function: Callable[[Tables, Any], pd.Series]
    argument: str | tuple[str, ...] | Callable[[Tables], pd.Series]

    def __truediv__(self, other: "Effect") -> "Comparison":
        return Comparison(self, "/", other)

    def __sub__(self, other: "Effect") -> "Comparison":
        return Comparison(self, "-", other)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that it names."""
        if isinstance(self.argument, str):
            return (self.argument,)
        return self.argument if isinstance(self.argument, tuple) else ()

    @property
    def is_over_all(self) -> bool:
        """Whether it takes a number per run of all variants."""
        return callable(self.argument)

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The functions that it calls."""
        return (self.function, *([self.argument] if callable(self.argument) else []))

    @property
    def source(self) -> str:
        """The call as Python, the tables named `t`."""
        if callable(self.argument):
            return f"{self.function.__name__}(t, {self.argument.__name__}(t))"
        return f"{self.function.__name__}(t, {json.dumps(self.argument)})"

    def values(self, tables: Tables) -> pd.Series:
        """Compute it from {table: frame of all variants}."""
        argument = self.argument(tables) if callable(self.argument) else self.argument
        return self.function(tables, argument)


@dataclass(frozen=True)
class Comparison:
    """The ratio or the difference of two effects, seed by seed."""

    left: Effect
    operation: Literal["/", "-"]
    right: Effect

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that the two name, in order."""
        return self.left.variants + self.right.variants

    @property
    def is_over_all(self) -> bool:
        """Whether one of the two is over all variants."""
        return self.left.is_over_all or self.right.is_over_all

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The functions that the two call."""
        return self.left.functions + self.right.functions

    @property
    def source(self) -> str:
        """The formula as Python, the tables named `t`."""
        return f"{self.left.source} {self.operation} {self.right.source}"

    def values(self, tables: Tables) -> pd.Series:
        """Compute it; NaN for a seed that one of the two lacks."""
        left, right = self.left.values(tables), self.right.values(tables)
        result: pd.Series = _OPERATIONS[self.operation](left, right)
        return result


Formula = Effect | Comparison
