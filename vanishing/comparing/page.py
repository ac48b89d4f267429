"""A comparison as a page in GitHub's Markdown: the answer, a table, pictures, the rest folded."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vanishing.comparing.answer import answer
from vanishing.comparing.causes import ParameterChange, StageChange
from vanishing.comparing.comparison import Comparison
from vanishing.comparing.differences import Difference
from vanishing.comparing.words import count, folded, metric, name, names, plain, table, text
from vanishing.paths import FIGURES

MOST_VISIBLE = 8  # rows of the table that is not folded
MOST_FIGURES = 12  # side by side
MOST_MODULES = 12
_LEADING = ("test_accuracy", "train_loss", "test_loss", "attenuation_fresh", "attenuation_final")

Show = Callable[[Path], Sequence[str]]  # a figure as it was before and is after, in Markdown


class Page(NamedTuple):
    """A comparison in Markdown.

    Attributes:
        answer: Three paragraphs at the most.
        sections: The rest, the most important first; each may be left out.
    """

    answer: str
    sections: list[str]


def write(comparison: Comparison, picture: str, show: Show) -> Page:
    """Write a comparison.

    Args:
        comparison: To write.
        picture: The image of `curves.draw`, in Markdown; empty if there is none.
        show: Shows a figure of reports/figures, before and after.

    Returns:
        The page.
    """
    first, *others = answer(comparison)
    changed = sorted(comparison.changed, key=_rank)
    sections = [
        _numbers_table(changed[:MOST_VISIBLE]),
        picture,
        _why(comparison),
        _more_numbers(changed[MOST_VISIBLE:]),
        _verdicts(comparison),
        _claims(comparison),
        _figures(comparison, show),
        _more(comparison),
    ]
    return Page("\n\n".join([f"**{first}**", *others]), [part for part in sections if part])


def _rank(number: Difference) -> tuple[int, float]:
    leading = _LEADING.index(number.metric) if number.metric in _LEADING else len(_LEADING)
    return leading, -number.size


def _numbers_table(numbers: Sequence[Difference]) -> str:
    rows = [
        [
            name(number.variant),
            metric(number.metric),
            text(number.before),
            text(number.after),
            _difference(number),
            {True: "🟢 better", False: "🔴 worse", None: ""}[number.is_better],
        ]
        for number in numbers
    ]
    return table(["variant", "number", "before", "after", "difference", ""], rows) if rows else ""


def _difference(number: Difference) -> str:
    if number.before is None or number.after is None:
        return ""
    return f"{number.after - number.before:+.3g}"


def _more_numbers(numbers: Sequence[Difference]) -> str:
    more = count(len(numbers), "more number")
    return folded(f"{more} that changed", _numbers_table(numbers)) if numbers else ""


def _why(comparison: Comparison) -> str:
    """Name the parameters and the code that made stages run again, once for all of them."""
    parameters, code, stages = comparison.parameters, comparison.code, comparison.stages
    causes = [count(len(parameters), "parameter")] * bool(parameters)
    causes += [count(len(code), "module")] * bool(code)
    ran = [
        plain(f"{change.kind} × {change.count}" if change.total > 1 else change.kind)
        for change in stages
    ]
    summary = [" and ".join(causes)] * bool(causes)
    summary += [f"{', '.join(ran)} ran again"] * bool(ran)
    parts = [_parameters(parameters), _code(code), _stages(stages)]
    content = "\n\n".join(part for part in parts if part)
    return folded(f"Why: {'; '.join(summary)}", content) if content else ""


def _parameters(changes: Sequence[ParameterChange]) -> str:
    rows = [
        [_parameter(change), *(text(value) for value in (change.before, change.after))]
        for change in changes
    ]
    return table(["parameter", "before", "after"], rows) if rows else ""


def _parameter(change: ParameterChange) -> str:
    if len(change.variants) == 1:
        return name(change.key.replace("*", change.variants[0]))
    return (
        f"{name(change.key)} of {names(change.variants)}" if change.variants else name(change.key)
    )


def _code(code: dict[str, list[str]]) -> str:
    rows = [[name(module), names(definitions, most=6)] for module, definitions in code.items()]
    return table(["code that changed in meaning", "what"], rows, MOST_MODULES) if rows else ""


def _stages(stages: Sequence[StageChange]) -> str:
    rows = [
        [name(change.kind), f"{change.count} of {change.total}", text(", ".join(change.causes))]
        for change in stages
    ]
    return table(["stage that ran again", "how many", "because of"], rows) if rows else ""


def _verdicts(comparison: Comparison) -> str:
    rows = [
        [
            name(change.variant),
            metric(change.rule) if change.rule else "in words",
            text(change.before),
            text(change.after),
        ]
        for change in comparison.verdicts
    ]
    content = table(["variant", "verdict", "before", "after"], rows)
    return folded(f"{count(len(rows), 'verdict')} changed", content) if rows else ""


def _claims(comparison: Comparison) -> str:
    rows = [
        [
            text(change.statement),
            text(change.before),
            text(change.after),
            *map(text, change.effects),
        ]
        for change in comparison.claims
    ]
    content = table(["claim", "before", "after", "effect before", "effect after"], rows)
    return folded(f"{count(len(rows), 'claim')} changed", content) if rows else ""


def _figures(comparison: Comparison, show: Show) -> str:
    """Set figures side by side of which the drawing changed: one is seen, the others are folded."""
    rows = [
        [text(path.relative_to(FIGURES).with_suffix("").as_posix()), *show(path)]
        for path in comparison.figures[:MOST_FIGURES]
    ]
    if not rows:
        return ""
    headers = ["drawn differently", "before", "after"]
    more = len(comparison.figures) - len(rows)
    left_out = f"\n\n… and {more} more" if more else ""
    others = table(headers, rows[1:]) + left_out
    parts = [table(headers, rows[:1]), folded("The others", others) if rows[1:] else ""]
    return "\n\n".join(part for part in parts if part)


def _more(comparison: Comparison) -> str:
    """List the sentences that the answer may have left out."""
    lines = [*comparison.mixed, *comparison.conditions]
    lines += [f"only on one side: the metric {key}" for key in comparison.metrics]
    content = "\n".join(f"- {text(line)}" for line in lines)
    return folded("Machines, libraries, states", content) if lines else ""
