"""The types of which the sections of params.yaml consist."""

from collections.abc import Collection
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
)

# Safe in a file name, a shell word, a DVC stage name and an MLflow key alike.
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
# Counts fit into 32 bits: larger numbers are slips of the finger that torch cannot take.
Count = Annotated[PositiveInt, Field(le=1_000_000_000)]


def one_of(registry: Collection[str]) -> AfterValidator:
    """Make a validator that lets the names in `registry` pass."""

    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"Input should be one of {', '.join(registry)}")
        return name

    return AfterValidator(check)


def _strictly_increasing(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("Input should be strictly increasing")
    return values


# `strict` forbids a list where a tuple is declared, and YAML has no tuples.
Increasing = Annotated[
    tuple[Annotated[NonNegativeInt, Field(strict=True, le=1_000_000_000)], ...],
    Field(min_length=1, strict=False),
    AfterValidator(_strictly_increasing),
]


class Section(BaseModel):
    """A mapping in params.yaml: frozen, no unknown keys, no conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
