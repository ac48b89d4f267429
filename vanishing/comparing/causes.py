"""Why results differ: parameters, code, and the stages that ran again for them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vanishing.comparing.differences import Variants
from vanishing.comparing.results import Results, kind
from vanishing.errors import StudyError
from vanishing.paths import FINGERPRINTS
from vanishing.pipeline.fingerprint import changed_definitions, own_modules

# Causes for which a stage runs again; a text of the repository that a stage reads is named.
CODE, PARAMETERS, COMMAND = "code", "parameters", "its command"
INPUTS, NEW, NOTHING = "results of other stages", "new", "no input differs"
ABSENT = "-"  # a parameter that one side does not have

# Stages that run after every edit of the code or of params.yaml, and have no result.
_WITHOUT_RESULT = ("fingerprint", "validate")


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
        of_kind = kind(stage)
        if of_kind in _WITHOUT_RESULT or entry == old.stages.get(stage):
            continue
        counts[of_kind] += 1
        causes.setdefault(of_kind, {}).update(dict.fromkeys(_causes(old.stages.get(stage), entry)))
    totals = Counter(map(kind, new.stages))
    for of_one_kind in causes.values():
        if len(of_one_kind) > 1:  # any other cause says more than the stages before it
            of_one_kind.pop(INPUTS, None)
    ordered = sorted(counts, key=lambda name: totals[name] == 1)  # those of every variant first
    return [StageChange(name, counts[name], totals[name], tuple(causes[name])) for name in ordered]


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
    kinds = [change.kind for change in stages if CODE in change.causes]
    modules = [f"stages.{stage}" for stage in kinds]
    for stage in kinds:
        modules += own_modules(stage, new.params, new.source)
    if modules:
        networks = [settings.get("network") for settings in new.variants.values()]
        modules += [name.partition(":")[0] for name in dict.fromkeys(networks) if name]
    with suppress(StudyError):  # said where states are compared
        return changed_definitions(old.source, new.source, modules)
    return {}
