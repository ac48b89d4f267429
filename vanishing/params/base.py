"""What every section of params.yaml has in common: how it is read, checked and complained of.

In: params.yaml. Out: a model with the sections that were asked for, or a StudyError with one line
per wrong key.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, did_you_mean

PATH = Path("params.yaml")

# Safe in a file name, a shell word, a DVC stage name and an MLflow key alike.
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
# What counts fits into 32 bits: larger numbers are slips of the finger that torch cannot take.
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


Sections = TypeVar("Sections", bound=Section)


def load(model: type[Sections], path: Path = PATH) -> Sections:
    """Read and validate the sections of params.yaml (YAML 1.2, as DVC reads it) that `model` has.

    A stage asks for those that it depends on, so that it neither reads nor imports the others;
    `stages.validate` asks for all of them before anything else runs.

    Args:
        model: `study.Study`, `probing.Probing` or `whole.Params`.
        path: The file.

    Returns:
        The parameters, frozen.

    Raises:
        StudyError: If the file is missing, is not YAML, or holds a wrong key or value; one line
            for each, with the key, what was given and what is allowed.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in _explain_all(model, error.errors())]
        raise StudyError("\n".join(lines)) from None


def _explain_all(model: type[BaseModel], details: list[ErrorDetails]) -> list[str]:
    """Explain each problem once, at the first variant that has it: the others inherit it."""
    shared: dict[object, list[str]] = {}
    for detail in details:
        loc = detail["loc"]
        identity = (loc[2:], str(detail["input"])) if loc[:1] == ("variants",) and loc[2:] else loc
        shared.setdefault(identity, []).append(_explain(model, detail))
    return [
        first + (f" (and in {len(rest)} variants that inherit it)" if rest else "")
        for first, *rest in shared.values()
    ]


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Say in one line which key is wrong, what was given and what is allowed."""
    loc = [str(part) for part in detail["loc"] if part != "[key]"]
    key = ".".join(loc) or "the file"
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "..."  # noqa: PLR2004
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, loc[:-1])
        return f"{key}: unknown key{did_you_mean(loc[-1], allowed)}; allowed: {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    if detail["type"] in {"model_type", "dict_type"}:
        return f"{key}: Input should be a mapping; given {given}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and "given" in message:
        return f"{key}.{message}" if loc else message
    return f"{key}: {message}; given {given}"


def _allowed_keys(model: type[BaseModel], loc: list[str]) -> list[str]:
    """Return the keys that the section at `loc` may have."""
    current = model
    parts = iter(loc)
    for part in parts:
        annotation = current.model_fields[part].annotation
        if get_origin(annotation) is dict:  # of named sections
            annotation = get_args(annotation)[1]
            next(parts, None)
        assert isinstance(annotation, type)  # noqa: S101 - sections nest plainly
        current = annotation
    return [field.alias or name for name, field in current.model_fields.items()]
