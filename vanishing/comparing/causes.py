"""Why results differ: parameters, code, stages that ran; machines and libraries; mixed states."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vanishing.comparing.differences import Variants
from vanishing.comparing.results import FILES, Results
from vanishing.errors import StudyError
from vanishing.paths import (
    FINGERPRINTS,
    INITIALISATION,
    LOCK,
    PARAMS,
    STATISTICS,
    TRAINING,
    stage_fingerprint,
)
from vanishing.pipeline.fingerprint import changed_definitions, fingerprint_stage
from vanishing.pipeline.lock import text_digest

# Causes for which a stage runs again; a text of the repository that a stage reads is named.
CODE, PARAMETERS, COMMAND = "code", "parameters", "its command"
INPUTS, NEW, NOTHING = "results of other stages", "new", "no input differs"
ABSENT = "-"  # a parameter that one side does not have

FINGERPRINT = "fingerprint"  # the stage; it runs after every edit, and others say `code`
_JUDGING = "diagnose"
_WRITING = (_JUDGING, "report")  # stages that write single texts into reports/
_VALIDATING = "validate"  # has no result, and its parameters are all of params.yaml
# Libraries on which numbers or figures depend.
_LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "matplotlib")


@dataclass(frozen=True)
class ParameterChange:
    """A parameter that differs, or the same one of several variants.

    Attributes:
        key: Dotted; of variants without their names, as `variants.*.width`.
        variants: The names of these.
        before: The value; ABSENT if there was none.
        after: The same, afterwards.
    """

    key: str
    variants: tuple[str, ...]
    before: Any
    after: Any


@dataclass(frozen=True)
class StageChange:
    """Stages of one kind that ran again.

    Attributes:
        kind: As `train`.
        count: How many of them differ in dvc.lock.
        total: How many dvc.lock has now.
        causes: What differs among their inputs.
    """

    kind: str
    count: int
    total: int
    causes: tuple[str, ...]


def changed_parameters(old: Results, new: Results, variants: Variants) -> list[ParameterChange]:
    """Compare params.yaml, leaf by leaf; variants that are new or gone are left out."""
    unmatched = {*variants.added, *variants.removed}
    before = _leaves(old, unmatched, {name: after for after, name in variants.renamed.items()})
    after = _leaves(new, unmatched, {})
    groups: dict[tuple[str, str, str], ParameterChange] = {}
    for path in before | after:
        values = before.get(path, ABSENT), after.get(path, ABSENT)
        if values[0] == values[1]:
            continue
        key, names = ".".join(path), path[:0]
        if path[0] == "variants" and len(path) > 1:
            key, names = ".".join(["variants", "*", *path[2:]]), path[1:2]
        group = key, repr(values[0]), repr(values[1])
        known = groups[group].variants if group in groups else ()
        groups[group] = ParameterChange(key, known + names, *values)
    return list(groups.values())


def _leaves(
    results: Results, left_out: Collection[str], renamed: Mapping[str, str]
) -> dict[tuple[str, ...], Any]:
    """Return {path: value} of the leaves of params.yaml.

    Args:
        results: That has the file.
        left_out: Names of variants.
        renamed: {name of a variant: its new name}.
    """
    leaves = {}
    for path, leaf in _flat(results.params):
        key, value = path, leaf
        if path[0] == "variants" and len(path) > 1:
            if path[1] in left_out:
                continue
            key = "variants", renamed.get(path[1], path[1]), *path[2:]
            value = renamed.get(leaf, leaf) if path[-1] == "compare_to" else leaf
        leaves[key] = value
    return leaves


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, value) of each leaf of nested mappings."""
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _flat(inner, (*path, str(key)))
    else:
        yield path, value


def changed_stages(old: Results, new: Results) -> list[StageChange]:
    """Compare dvc.lock, stage by stage, and join stages of one kind."""
    causes: dict[str, dict[str, None]] = {}
    counts: Counter[str] = Counter()
    for stage, entry in new.stages.items():
        kind = _kind(stage)
        if kind in (FINGERPRINT, _VALIDATING) or entry == old.stages.get(stage):
            continue
        counts[kind] += 1
        causes.setdefault(kind, {}).update(dict.fromkeys(_causes(old.stages.get(stage), entry)))
    totals = Counter(map(_kind, new.stages))
    for own in causes.values():
        if len(own) > 1:  # a cause of its own says more than that of the stages before it
            own.pop(INPUTS, None)
    kinds = sorted(counts, key=lambda kind: totals[kind] == 1)  # those of every variant first
    return [StageChange(kind, counts[kind], totals[kind], tuple(causes[kind])) for kind in kinds]


def _kind(stage: str) -> str:
    return stage.partition("@")[0]


def _causes(before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    """Name what differs among the inputs of two entries of dvc.lock."""
    if before is None:
        return [NEW]
    old, new = (
        {dependency["path"]: dependency.get("md5") for dependency in entry.get("deps", [])}
        for entry in (before, after)
    )
    changed = [path for path in old | new if old.get(path) != new.get(path)]
    causes = list(dict.fromkeys(map(_cause, changed)))
    causes += [PARAMETERS] * (before.get("params") != after.get("params"))
    causes += [COMMAND] * (before.get("cmd") != after.get("cmd"))
    return causes or [NOTHING]


def _cause(path: str) -> str:
    """Say in a word what a dependency is; a text of the repository's is named."""
    if FINGERPRINTS in Path(path).parents or path.endswith(".py"):
        return CODE
    if path.startswith(("data/", "models", "reports/")):
        return INPUTS
    return path.lstrip("./")


def changed_code(old: Results, new: Results, stages: Iterable[StageChange]) -> dict[str, list[str]]:
    """Name what changed in the code that made some stages run again.

    Returns:
        {module: names of its definitions}; empty where the code of one side is not known.
    """
    if old.source is None or new.source is None:
        return {}
    modules = [f"stages.{change.kind}" for change in stages if CODE in change.causes]
    if modules:
        networks = [settings.get("network") for settings in new.variants.values()]
        modules += [name.partition(":")[0] for name in dict.fromkeys(networks) if name]
    with suppress(StudyError):  # said where states are compared
        return changed_definitions(old.source, new.source, modules)
    return {}


def changed_conditions(old: Results, new: Results, pairs: Mapping[str, str]) -> list[str]:
    """Say which machines trained, and which libraries were there, where it is not the same."""
    machines: Counter[str] = Counter()
    for name, before in pairs.items():
        rows = old.runs.get(before, {}), new.runs.get(name, {})
        for seed in rows[0].keys() & rows[1].keys():
            first, second = (by_seed[seed]["machine"] for by_seed in rows)
            if first != second:
                machines[_difference(first, second)] += 1
    lines = [
        f"{count} training run{'s' if count > 1 else ''} on another machine: {difference}"
        for difference, count in machines.most_common()
    ]
    versions = [locked_versions(side.requirements) for side in (old, new)]
    if all(versions):
        changed = _difference(*versions)
        lines += [f"requirements.lock: {changed}"] * bool(changed)
    return lines


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {after.get(key, 'none')} (was {before.get(key, 'none')})"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    )


def locked_versions(requirements: str) -> dict[str, str]:
    """Return {library: its versions in requirements.lock}, of those that results depend on."""
    pinned = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", requirements, re.MULTILINE)
    return {
        library: " or ".join(version for name, version in pinned if name == library)
        for library in _LIBRARIES
        if library in dict(pinned)
    }


def mixed_states(old: Results, new: Results) -> Iterator[str]:
    """Say where the new results do not belong together: params.yaml, dvc.lock and reports/."""
    for stage in _WRITING:
        for out in new.stages.get(stage, {}).get("outs", []):
            path = Path(out["path"])
            if path in FILES and out["md5"] != text_digest(new.text(path)):
                yield f"{path} is not the file that {LOCK} records"
    judged = [side.stages.get(_JUDGING, {}).get("deps") for side in (old, new)]
    if judged[0] is not None and judged[0] == judged[1]:
        changed = [
            stage
            for stage in old.stages | new.stages
            if _tables(old.stages.get(stage, {})) != _tables(new.stages.get(stage, {}))
        ]
        if changed:
            yield f"{_JUDGING} did not run with the new results of {some(sorted(changed))}"
    try:
        outdated = _outdated_code(new)
    except StudyError:  # it names a file where the commit was unpacked
        yield "its code is not Python that can be read"
    else:
        if outdated:
            yield f"{LOCK} is of other code than the stages {some(outdated)} have"
    keys = {
        key
        for entry in new.stages.values()
        for key, value in entry.get("params", {}).get(str(PARAMS), {}).items()
        if value != _look_up(new.params, key)
    }
    if keys:
        yield f"{LOCK} is of other parameters than {PARAMS}: {some(sorted(keys))}"


def _outdated_code(results: Results) -> list[str]:
    """Name the kinds of stages whose code is not that of dvc.lock."""
    source = results.source
    locked: dict[str, set[str]] = {}
    for stage, entry in results.stages.items():
        for dependency in entry.get("deps", []):
            if dependency["path"] == stage_fingerprint(_kind(stage)).as_posix():
                locked.setdefault(_kind(stage), set()).add(dependency["md5"])
    return [
        kind
        for kind, digests in locked.items()
        if source is not None
        and source.path(f"stages.{kind}") is not None
        and digests != {text_digest(fingerprint_stage(kind, source))}
    ]


def _tables(entry: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the outputs that `diagnose` reads, of one stage of dvc.lock."""
    folders = (TRAINING, STATISTICS, INITIALISATION)
    return [
        out["md5"]
        for out in entry.get("outs", [])
        if any(folder in Path(out["path"]).parents for folder in folders)
    ]


def _look_up(params: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None if there is none."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def some(names: Sequence[str], most: int = 3) -> str:
    """Name the first few, and count the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
