"""What `explain` returns: the table of factors, its sentence, its text."""

from dataclasses import dataclass

import pandas as pd

from vanishing.judging.factors import attenuation, describe, tabulate_factors


@dataclass(frozen=True)
class Explanation:
    """Why a network's gradient vanishes or explodes between its output and its input.

    Attributes:
        table: A row per factor, from the loss to the input, with the columns of
            `results.factors.FACTORS`: docs/explaining.md describes them.
        no_path: Where the path from the loss ends, if none leads to the input; else empty.
    """

    table: pd.DataFrame
    no_path: str = ""

    @property
    def attenuation(self) -> float:
        """rms(dL/d input) / rms(dL/d output); NaN without a path, and where both are 0."""
        return attenuation(self.table)

    @property
    def sentence(self) -> str:
        """The answer, in one sentence."""
        if self.no_path:
            return f"No gradient comes to the input: {self.no_path}."
        return describe(self.table)

    def __str__(self) -> str:
        """Write the sentence, and below it the table."""
        if self.no_path:
            return self.sentence
        return f"{self.sentence}\n\n{tabulate_factors(self.table)}"
