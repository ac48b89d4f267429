"""Names, numbers and texts of a comparison as Markdown; texts may be anything that a branch has."""

import html
import re
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

_LONGEST = 120  # characters of a text; longer ones are cut
MOST_ROWS = 40  # of a table


def name(value: Any) -> str:
    """Write a name in the font of code: nothing in it is markup, and it mentions nobody."""
    return "`" + _cut(value).replace("`", "'").replace("|", "¦") + "`"


def text(value: Any) -> str:
    """Write a value as plain text: nothing in it is markup, and it mentions nobody."""
    written = f"{value:.6g}" if isinstance(value, float) else "none" if value is None else value
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", plain(written))


def plain(value: Any) -> str:
    """Write a value inside HTML, where Markdown is not read: nothing in it is markup."""
    # A mention would notify people: a zero-width space after the sign prevents it.
    return html.escape(_cut(value), quote=False).replace("@", "@\u200b")


def _cut(value: Any) -> str:
    line = " ".join(str(value).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def names(values: Sequence[Any], most: int = 3) -> str:
    """Write the first few names, and count the others."""
    return some(list(map(name, values)), most)


def some(texts: Sequence[str], most: int = 3) -> str:
    """Enumerate the first few texts, and count the others."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def count(number: int, singular: str, plural: str = "") -> str:
    """Write a number with its noun."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def size(value: float) -> str:
    """Write a size to one digit, as 6e-6."""
    return re.sub(r"e-0", "e-", f"{value:.1g}")


def metric(key: str) -> str:
    """Write the name of a metric in words."""
    return text(key.replace("_", " "))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], most: int = MOST_ROWS) -> str:
    """Lay out a table of cells that are Markdown; of more than `most` rows it has the first."""
    shown = tabulate(rows[:most], headers, tablefmt="pipe", disable_numparse=True)
    more = len(rows) - most
    return f"{shown}\n\n… and {more} more" if more > 0 else shown


def folded(summary: str, content: str) -> str:
    """Fold a text away under its summary."""
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def sentence(parts: Sequence[str]) -> str:
    """Join clauses to a sentence."""
    joined = "; ".join(parts)
    return f"{joined[:1].upper()}{joined[1:]}." if joined else ""
