"""params.yaml: read, checked against a model, and each mistake explained in one line."""

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, did_you_mean, in_one_line
from vanishing.params.base import Section
from vanishing.paths import PARAMS

Sections = TypeVar("Sections", bound=Section)
_LONGEST = 60  # characters of a value that a message repeats
_MOST_VALUES = 1_000_000  # with aliases written out; ten thousand variants have fewer


def load(model: type[Sections], path: Path = PARAMS) -> Sections:
    """Read and validate the sections of params.yaml (YAML 1.2, as DVC reads it) that `model` has.

    A stage asks for the sections that it depends on, and neither reads nor imports the others. The
    stage `validate` asks for all of them before any other stage runs.

    Args:
        model: `study.Study`, `extract.Measured` or `diagnose.Params`.
        path: The file.

    Returns:
        The parameters, frozen.

    Raises:
        StudyError: If the file is missing, is not YAML, or holds a wrong key or value; one line
            for each, with the key, the value given and the values allowed.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; run from the study's folder") from None
    except RecursionError:
        raise StudyError(_too_large(path)) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not YAML: {in_one_line(error)}") from None
    if _size(content, {}) > _MOST_VALUES:
        raise StudyError(_too_large(path))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in _explain_all(model, error.errors())]
        raise StudyError("\n".join(lines)) from None


def _too_large(path: Path) -> str:
    return (
        f"{path}: nests too deeply, or its aliases written out are more than {_MOST_VALUES:,}"
        " values; write it plainly"
    )


def _size(value: Any, sizes: dict[int, float]) -> float:
    """Count the values in nested mappings and lists; infinitely many where one contains itself.

    A few aliases can stand for more values than DVC, or a message, could write out.

    Returns:
        The number of values.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = math.inf
        inner = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(entry, sizes) for entry in inner)
    return sizes[id(value)]


def _explain_all(model: type[BaseModel], details: list[ErrorDetails]) -> list[str]:
    """Explain each problem once, at the first variant that has it: the others inherit it."""
    shared: dict[object, list[str]] = {}
    for detail in details:
        location = _without_tags(detail)
        inherited = location[:1] == ("variants",) and location[2:]
        problem = (location[2:], str(detail["input"])) if inherited else location
        shared.setdefault(problem, []).append(_explain(model, detail))
    return [
        first + (f" (and in {len(rest)} variants that inherit it)" if rest else "")
        for first, *rest in shared.values()
    ]


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Say in one line which key is wrong, its value and the values allowed."""
    location = [str(part) for part in _without_tags(detail)]
    key = ".".join(location) or "the file"
    given = repr(detail["input"])
    given = given if len(given) <= _LONGEST else given[: _LONGEST - 3] + "..."
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, detail["loc"][:-1])
        suggestion = did_you_mean(location[-1], allowed)
        return f"{key}: unknown key{suggestion}; allowed: {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    if detail["type"] in {"model_type", "dict_type"}:
        return f"{key}: Input should be a mapping; given {given}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and "given" in message:
        return f"{key}.{message}" if location else message
    return f"{key}: {message}; given {given}"


def _without_tags(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Return the location without what pydantic adds to keys: [key], [trained] and the like."""
    return tuple(part for part in detail["loc"] if not str(part).startswith("["))


def _allowed_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section at `location`, with its tags, may have."""
    section: Any = model
    for part in map(str, location):
        section = _narrow(section)
        if get_origin(section) is dict:  # of named sections
            section = get_args(section)[1]
        elif get_origin(section) is Union:  # of several kinds, each with its tag
            kinds = dict(reversed(get_args(kind)) for kind in get_args(section))
            section = kinds[Tag(part)]
        else:
            section = section.model_fields[part].annotation
    fields = _narrow(section).model_fields
    return [field.alias or name for name, field in fields.items()]


def _narrow(annotation: Any) -> Any:
    """Return the type without its metadata, and without None where that is an alternative."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kinds = get_args(annotation)
    if type(None) in kinds:
        (kind,) = set(kinds) - {type(None)}
        return _narrow(kind)
    return annotation
