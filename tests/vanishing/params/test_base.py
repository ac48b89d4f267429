"""The types of which sections consist."""

from typing import Annotated, Any

import pytest
from pydantic import ValidationError

from vanishing.params.base import Count, Increasing, Probability, Section, VariantName, one_of


class Example(Section):
    """A section with a field of each type."""

    name: VariantName = "a"
    share: Probability = 0.5
    count: Count = 1
    numbers: Increasing = (0,)
    choice: Annotated[str, one_of({"red": 1, "blue": 2})] = "red"


@pytest.mark.parametrize(
    "values",
    [
        {"name": "relu-he-2"},
        {"name": "0"},
        {"share": 0.0},
        {"share": 1},
        {"count": 1_000_000_000},
        {"numbers": [0, 3, 9]},
        {"numbers": (5,)},
        {"choice": "blue"},
    ],
)
def test_a_value_in_range_is_accepted(values: dict[str, Any]) -> None:
    Example.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        *({"name": name} for name in ("", "-a", "A", "a b", "a/b", "a@b", "é", "a\n", "x" * 65)),
        *({"share": share} for share in (-0.1, 1.1, float("nan"), "0.5", None)),
        *({"count": count} for count in (0, -1, 1_000_000_001, 1.0, True, "1")),
        *({"numbers": numbers} for numbers in ([], [1, 1], [2, 1], [-1], [1.5], ["1"], 3)),
        *({"choice": choice} for choice in ("green", "", 1)),
        {"unknown": 1},
    ],
)
def test_any_other_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Example.model_validate(values)


def test_the_allowed_names_of_a_registry_are_listed() -> None:
    with pytest.raises(ValidationError, match="should be one of red, blue"):
        Example.model_validate({"choice": "green"})


def test_a_section_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example().count = 2  # type: ignore[misc]
