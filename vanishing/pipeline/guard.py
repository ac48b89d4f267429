"""A stage's results belong to the inputs that DVC writes down beside them.

After a stage has ended, DVC hashes its dependencies as they are then. If one were edited meanwhile,
dvc.lock would pair new inputs with old results. So a stage fails if an input changed while it ran,
or if the code is not the code of its fingerprint.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, in_one_line, name_first
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.paths import FINGERPRINTS, PARAMS, PIPELINE
from vanishing.pipeline.fingerprint import differences, fingerprints


def guard(stage: str, arguments: Sequence[str], run: Callable[[], None]) -> None:
    """Run a stage, and fail if its inputs change meanwhile.

    Args:
        stage: Its name in dvc.yaml.
        arguments: The values of its matrix, in the order of dvc.yaml.
        run: Runs it.

    Raises:
        StudyError: If an input changed, or the code differs from the stage's fingerprint.
    """
    before = inputs(stage, arguments)
    edited = edited_code(before)
    if edited:
        raise StudyError(f"{name_first(edited)}: edited since `fingerprint` ran; run: make repro")
    run()
    after = inputs(stage, arguments)
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    changed += edited_code(before)
    if changed:
        raise StudyError(
            f"{name_first(changed)}: changed while {' '.join([stage, *arguments])} ran, so its"
            " results are not kept; run it again"
        )


def inputs(stage: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the dependencies and parameters of a stage of dvc.yaml, as they are now.

    Args:
        stage: Its name.
        arguments: The values of its matrix.

    Returns:
        {file: (size, time of last change)} and {parameter: value}; a folder is its files.
    """
    entry = YAML(typ="safe").load(PIPELINE)["stages"][stage]
    values = _read_params()
    context = values | {"item": dict(zip(entry.get("matrix", ()), arguments, strict=False))}
    state: dict[str, Any] = {}
    for text in entry.get("deps", []):
        path = Path(_fill_in(text, context))
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                state[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
    for text in entry.get("params", []):
        if isinstance(text, dict):  # {params.yaml: null}, all of it
            state[str(PARAMS)] = repr(values)
        else:
            key = _fill_in(text, context)
            state[f"{PARAMS}: {key}"] = repr(look_up(values, key))  # NaN does not equal itself
    return state


def edited_code(paths: Mapping[str, Any]) -> list[str]:
    """Return the names of the definitions that differ between some fingerprints and the code.

    Args:
        paths: Of a stage's dependencies; those that are no fingerprints are ignored.

    Returns:
        The names.
    """
    files = [path for path in map(Path, paths) if FINGERPRINTS in path.parents]
    if not files:
        return []
    current = fingerprints(load(Judged), files)
    return [name for path in files for name in differences(path.read_text("utf-8"), current[path])]


def _read_params() -> dict[str, Any]:
    """Read params.yaml as DVC does, without a check of its values."""
    try:
        values = YAML(typ="safe").load(PARAMS)
    except (OSError, YAMLError) as error:
        raise StudyError(f"{PARAMS}: cannot be read: {in_one_line(error)}") from None
    if not isinstance(values, dict):
        raise StudyError(f"{PARAMS}: cannot be read: it should be a mapping")
    return values


def _fill_in(text: str, context: Mapping[str, Any]) -> str:
    """Fill in a text of dvc.yaml: `${a.b}` is the value of that parameter, or of the matrix."""
    return re.sub(r"\$\{([^}]+)\}", lambda match: str(look_up(context, match[1])), text)


def look_up(values: Any, key: str) -> Any:
    """Return the value of a dotted key of nested mappings; None if there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
