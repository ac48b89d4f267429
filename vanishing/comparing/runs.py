"""Two watched trainings side by side: `vanishing compare BASE HEAD`.

One run each says nothing of chance: numbers are set side by side, and none is called a change.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tabulate import tabulate

from vanishing.judging.blocks import blocks
from vanishing.judging.runs import Run
from vanishing.judging.verdicts import Row, describe, verdict

# Where and with what a run was made, and the scale of its weights, which the seed decides too.
_NOT_SETTINGS = ("machine", "versions", "initial_std")


class Judged(NamedTuple):
    """A run with its verdicts.

    Attributes:
        run: The run.
        rows: That of its learning, and what `judging.runs.examine` returns.
    """

    run: Run
    rows: list[Row]


def compare(base: Judged, head: Judged) -> str:
    """Write which verdicts and settings differ, and the blocks' numbers side by side.

    Returns:
        Lines for a terminal: the answer, then verdicts, settings and blocks.
    """
    verdicts = _changed_verdicts(base, head)
    settings = _changed_settings(base.run.record, head.run.record)
    lines = [f"{base.run.name} → {head.run.name}: {_answer(verdicts, settings, base, head)}"]
    if verdicts:
        lines += ["", "Verdicts", *(f"  {line}" for line in verdicts)]
    if settings:
        lines += ["", "Settings", *(f"  {line}" for line in settings)]
    lines += ["", _table(base.run, head.run)]
    return "\n".join(lines)


def _answer(verdicts: list[str], settings: list[str], base: Judged, head: Judged) -> str:
    parts = [_count(len(verdicts), "verdict"), _count(len(settings), "setting")]
    losses = [_last_loss(judged.run) for judged in (base, head)]
    if None not in losses:
        before, after = losses
        parts.append(f"the loss of the last tenth is {after:.3g}, was {before:.3g}")
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'} changed"


def _last_loss(run: Run) -> float | None:
    losses = run.tables["losses"].sort_values("step")["loss"]
    count = -(-len(losses) // 10)
    return float(losses[-count:].mean()) if count else None


def _changed_verdicts(base: Judged, head: Judged) -> list[str]:
    lines = []
    for rule in dict.fromkeys(row["rule"] for row in head.rows):
        before, after = verdict(base.rows, rule), verdict(head.rows, rule)
        if before != after:
            checks = [describe(row) for row in head.rows if row["rule"] == rule]
            lines.append(f"{rule}: {before} → {after}; {'; '.join(checks)}")
    return lines


def _changed_settings(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[str]:
    """Return a line per entry of run.json that differs, and one for the parameters of one side."""
    before, after = (
        dict(_leaves({key: record[key] for key in record if key not in _NOT_SETTINGS}))
        for record in (base, head)
    )
    parameters = [{p["name"] for p in record["parameters"]} for record in (base, head)]
    shared = parameters[0] & parameters[1]
    lines = [
        f"{key}: {before.get(key, 'none')} → {after.get(key, 'none')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and _is_compared(key, shared)
    ]
    only = [len(names - shared) for names in parameters]
    if any(only):
        lines.append(f"parameters: {only[0]} of the base alone, {only[1]} of the head alone")
    return lines


def _is_compared(key: str, shared: set[str]) -> bool:
    """Tell whether an entry counts: not of a parameter of one side, nor its place in the order."""
    kind, _, rest = key.partition(".")
    name, _, entry = rest.rpartition(".")
    return kind != "parameters" or (name in shared and entry != "layer_index")


def _leaves(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value); an entry of a list is named by its `name`, or by its index."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list) and content and isinstance(content[0], Mapping):
        for index, entry in enumerate(content):
            name = entry.get("name") or index
            rest = {k: v for k, v in entry.items() if k != "name"}
            yield from _leaves(rest, f"{key}.{name}")
    else:
        yield key, content


def _table(base: Run, head: Run) -> str:
    """Lay out the blocks of both, those of the head first, in depth order."""
    before, after = (blocks(run).set_index("block") for run in (base, head))
    names = [*after.index, *(name for name in before.index if name not in after.index)]
    rows = [
        [
            name or "(model)",
            *(_number(frame, name, "gradient_last") for frame in (before, after)),
            _ratio(before, after, name),
            *(_number(frame, name, "update_ratio") for frame in (before, after)),
        ]
        for name in names
    ]
    headers = ["block", "‖gradient‖, base", "head", "head / base", "‖update‖ / ‖values‖, base"]
    align = ("left", *["right"] * 5)
    return tabulate(rows, [*headers, "head"], "simple", colalign=align, disable_numparse=True)


def _number(frame: pd.DataFrame, block: str, column: str) -> str:
    value = frame[column].get(block, np.nan)
    return f"{value:.2e}" if np.isfinite(value) else "-"


def _ratio(before: pd.DataFrame, after: pd.DataFrame, block: str) -> str:
    values = [frame["gradient_last"].get(block, np.nan) for frame in (before, after)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.divide(values[1], values[0])
    return f"{ratio:.3g}" if np.isfinite(ratio) else "-"
