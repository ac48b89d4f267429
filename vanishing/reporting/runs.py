"""What `vanishing report` says of watched trainings: on the terminal, in Markdown, and drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from vanishing.judging.blocks import blocks
from vanishing.judging.factors import describe_each
from vanishing.judging.kinds import FAILS, NOTE, WARNING
from vanishing.judging.learning.verdict import Verdict
from vanishing.judging.runs import Run, load_run, problems
from vanishing.judging.stream import attenuation_along_stream, gradient_along_stream
from vanishing.judging.verdicts import NOT_APPLICABLE, UNDEFINED, Row, describe
from vanishing.reporting import factors, panels, through_time
from vanishing.reporting.figures import save
from vanishing.reporting.layout import WIDTH, add_legend_above, say_not_recorded
from vanishing.reporting.markdown import capitalise
from vanishing.reporting.style import line_styles
from vanishing.results.blocks import block_of

_HEADERS = [
    "block",
    "layers",
    "dL/dh, first",
    "last",
    "‖gradient‖, first",
    "last",
    "‖update‖ / ‖values‖",
    "dead units",
    "constant",
    "problems",
]
_NUMBERS = ("stream_first", "stream_last", "gradient_first", "gradient_last", "update_ratio")
_SHARES = ("fraction_dead", "fraction_constant")
_REASONS = {
    "frozen": "frozen",
    "detached": "on a detached path",
    "unused": "not used in the forward pass",
    "absent": "for an unknown reason",
}
_COUNTED = {  # {kind: its words after 1 and after other numbers}
    FAILS: ("fails", "fail"),
    WARNING: ("warning", "warnings"),
    NOTE: ("note", "notes"),
}
_NAMED = 4  # layers in a line; of more the first ones and the last
FIGURE, THROUGH_TIME, FACTORS = "gradients.png", "through-time.png", "factors.png"


def summarize(run: Run, rows: Sequence[Row]) -> str:
    """Write how many rules are broken, the gradient from end to end, problems, a line per block.

    Args:
        run: The run.
        rows: As `judging.runs.examine` returns them.

    Returns:
        Lines for a terminal; of the problems the gravest comes first.
    """
    lines = [f"{run.name}: {_answer(run, rows)}", *(f"  {line}" for line in _without(run))]
    lines += _end_to_end(run)
    lines += why(run)
    lines += [f"  {row['kind']}: {row['rule']}: {describe(row)}" for row in problems([*rows])]
    if len(run.tables["trace"]):
        lines += ["", _table(run, rows, "simple")]
    return "\n".join(lines) + "\n"


def write_markdown(
    runs: Mapping[str, tuple[Run, Sequence[Row]]], verdicts: Mapping[str, Verdict]
) -> str:
    """Write a page on runs, with the figures beside it.

    Args:
        runs: {heading: run and its rows}.
        verdicts: {heading: whether it will learn}.

    Returns:
        The page, in GitHub's Markdown.
    """
    parts = ["# Gradients of watched trainings", f"![Gradients by layer and step]({FIGURE})"]
    if through_time.is_recorded(run for run, _ in runs.values()):
        parts.append(f"![Gradients of recurrent layers by time step]({THROUGH_TIME})")
    if any(map(why, [run for run, _ in runs.values()])):
        parts.append(f"![Decades of each hop by kind of factor, a panel per run]({FACTORS})")
    for heading, (run, rows) in runs.items():
        parts += [f"## {heading}", capitalise(str(verdicts[heading]))]
        parts += [f"{_answer(run, rows).capitalize()}."]
        parts += [f"- {line}" for line in _without(run)]
        parts += _end_to_end(run)
        parts += why(run)
        grave = [
            f"- {row['kind']}: **{row['rule']}**: {describe(row)}" for row in problems([*rows])
        ]
        if grave:
            parts.append("\n".join(grave))
        if len(run.tables["trace"]):
            parts.append(_table(run, rows, "github"))
        checks = [
            [
                row["rule"],
                row["kind"],
                row["verdict"],
                "" if _is_silent(row) else _in_a_cell(describe(row)),
            ]
            for row in rows
        ]
        table = tabulate(
            checks, ["rule", "kind", "verdict", "measured"], "github", disable_numparse=True
        )
        parts.append(f"<details><summary>All rules</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def draw(runs: Mapping[str, Run]) -> Figure:
    """Draw gradients by block, by layer and over time, and updates by layer, a line per run.

    Args:
        runs: {label: run}, at least one with a trace.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    (by_block, by_layer), (over_time, updates) = figure.subplots(2, 2)
    styles = line_styles(list(runs))
    gradients = _labelled({label: run.gradients("l2_norm") for label, run in runs.items()})
    ratios = _labelled({label: run.update_ratios() for label, run in runs.items()})
    streams = _labelled(
        {label: gradient_along_stream(run, at_end=True) for label, run in runs.items()}
    )
    for axes in (by_block, by_layer, over_time, updates):
        axes.set_yscale("log")
    panels.draw_lines(streams.assign(block=streams.index), by_block, "block", "rms", styles)
    if streams.empty:
        say_not_recorded(by_block)
    panels.draw_lines(_at_end(gradients), by_layer, "layer_index", "value", styles)
    panels.draw_lines(_over_time(gradients), over_time, "step", "value", styles)
    panels.draw_lines(_at_end(ratios), updates, "layer_index", "value", styles)
    by_block.set(xlabel="block, in the forward pass", ylabel="rms(dL/dh), last traced step")
    by_layer.set(xlabel="layer, as defined", ylabel="‖dL/dW‖, last traced step")
    over_time.set(xlabel="step", ylabel="‖gradient‖ of all parameters")
    updates.set(xlabel="layer, as defined", ylabel="‖update‖ / ‖values‖, last traced step")
    add_legend_above(figure)
    return figure


def why(run: Run) -> list[str]:
    """Say why the gradient vanishes at each step at which `watch.explain` was called."""
    if "factors" not in run.tables:
        return []
    texts = describe_each(run.tables["factors"], "step")
    return [f"Why, at step {step}: {text}" for step, text in texts]


def draw_why(runs: Mapping[str, Run]) -> Figure:
    """Draw the factors of the first step that was explained, a panel per run that has one."""
    tables = {label: run.tables["factors"] for label, run in runs.items()}
    explained = {label: table for label, table in tables.items() if len(table)}
    return factors.draw_variants(_labelled(explained), "step")


def save_figure(folder: Path, path: Path) -> None:
    """Draw the run in a folder, if it has a traced step, and write the figure as PNG to a path."""
    run = load_run(folder)
    if len(run.tables["trace"]):
        save(lambda: draw({run.name: run}), path)


def _answer(run: Run, rows: Sequence[Row]) -> str:
    """Say how many rules are broken, and of how much that is said."""
    kinds = {row["rule"]: row["kind"] for row in reversed(problems([*rows]))}  # the gravest of each
    counts = Counter(kinds.values())
    applied = len({row["rule"] for row in rows if not _is_silent(row)})
    trace = run.tables["trace"]
    layers = run.gradients("l2_norm")["layer"].nunique()
    by_kind = ", ".join(
        f"{counts[kind]} {words[counts[kind] > 1]}"
        for kind, words in _COUNTED.items()
        if counts[kind]
    )
    verdict = f"{len(kinds)} of {applied} rules find a problem: {by_kind}"
    verdict = verdict if kinds else "no rule finds a problem"
    return f"{verdict} ({trace['step'].nunique()} traced steps, {layers} layers)"


def _without(run: Run) -> list[str]:
    """Say which layers get no gradient, and why; in order, with gaps left out."""
    layers = run.without_gradient()
    if layers.empty:
        return []
    parts = []
    for reason, rows in layers.groupby("gradient", sort=False):
        names = [name or "(model)" for name in rows["layer"]]
        few = names if len(names) <= _NAMED else [*names[: _NAMED - 1], "…", names[-1]]
        parts.append(f"{len(names)} {_REASONS[str(reason)]} ({', '.join(few)})")
    return [f"{len(layers)} of {run.count_layers()} layers receive no gradient: {'; '.join(parts)}"]


def _end_to_end(run: Run) -> list[str]:
    """Say how much of the gradient is left after the whole network, and after all time steps."""
    first, last = (gradient_along_stream(run, at_end) for at_end in (False, True))
    lines = []
    if len(first) > 1:
        names = first["block"].iloc[[0, -1]].tolist()
        lines.append(
            f"Along the network, rms(dL/dh) after {names[0]} over that after {names[1]}:"
            f" {_number(attenuation_along_stream(first))} at the first traced step,"
            f" {_number(attenuation_along_stream(last))} at the last."
        )
    return lines + through_time.describe(run)


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")  # as in |dL/dW|


def _is_silent(row: Row) -> bool:
    return row["verdict"] in {NOT_APPLICABLE, UNDEFINED}


def _table(run: Run, rows: Sequence[Row], style: str) -> str:
    rules: dict[str, list[str]] = {}
    for row in problems([*rows]):
        if row["layer"] is not None:
            names = rules.setdefault(block_of(row["layer"].partition("#")[0]), [])
            if row["rule"] not in names:
                names.append(row["rule"])
    lines = [
        [
            row["block"] or "(model)",
            row["layers"],
            *(_number(row[key]) for key in _NUMBERS),
            *(_share(row[key]) for key in _SHARES),
            ", ".join(rules.get(row["block"], [])),
        ]
        for row in blocks(run).to_dict("records")
    ]
    align = ("left", *["right"] * (1 + len(_NUMBERS) + len(_SHARES)), "left")
    return tabulate(lines, _HEADERS, style, colalign=align, disable_numparse=True)


def _number(value: float) -> str:
    return f"{value:.2e}" if np.isfinite(value) else "-"


def _share(value: float) -> str:
    return f"{100 * value:.3g}%" if np.isfinite(value) else "-"


def _labelled(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame.assign(variant=label) for label, frame in frames.items()])


def _at_end(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the weights' values at each run's last traced step, by layer."""
    last = rows["step"] == rows.groupby("variant")["step"].transform("max")
    return rows[last & rows["tensor"].isin(["weight_gradient", "update"])]


def _over_time(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return the norm of all gradients together, by run and step."""
    squares = gradients.assign(value=gradients["value"] ** 2)
    norms = squares.groupby(["variant", "step"], sort=False)["value"].sum() ** 0.5
    return norms.reset_index()
