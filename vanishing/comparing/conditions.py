"""Where results were made: machines and libraries."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from vanishing.comparing.results import Results
from vanishing.comparing.words import count

# Libraries on which numbers or figures depend.
_LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "matplotlib")


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
        f"{count(number, 'training run')} on another machine: {difference}"
        for difference, number in machines.most_common()
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
