"""The module in which a study's claims stand, and the part of it that a reader can run.

It has CLAIMS (a tuple of `Claim`), EXPECTED_SETTINGS ({variant: the settings that its name
promises}), WRITTEN_DOWN (the page that had the limits before any effect was computed, from the
repository's root), and the functions that effects are made of, where effects.py lacks them. It may
have an OPENING (`Opening`): how the report begins.
"""

import ast
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from vanishing.errors import StudyError, in_one_line
from vanishing.judging.claims import Claim
from vanishing.judging.mismatches import Settings
from vanishing.params.diagnose import Judged
from vanishing.paths import PARAMS

_LIBRARY = "vanishing"
_EFFECTS = "vanishing.judging.effects"


FIRST_FIGURES = (
    "attenuation-by-variant",
    "gradient-through-time",
    "gradient-along-stream",
    "learning-curves",
)


class Opening(NamedTuple):
    """How the report of a study begins.

    Attributes:
        question: That the study answers: the page's title.
        lead: A paragraph in Markdown for a reader who knows neither the networks nor the field.
        figure: One of FIRST_FIGURES: that in which the answer is seen.
    """

    question: str
    lead: str
    figure: str = FIRST_FIGURES[0]


class Ledger(NamedTuple):
    """A study's claims.

    Attributes:
        claims: In the order of the report.
        expected: {variant: the settings that its name promises}.
        written_down: The page of the limits, from the repository's root.
        opening: How the report begins; None for one that numbers alone make.
    """

    claims: tuple[Claim, ...]
    expected: Mapping[str, Settings]
    written_down: str
    opening: Opening | None = None


def load_ledger(study: Judged) -> Ledger:
    """Import the module that params.yaml names as `claims`, and check it.

    Returns:
        What it has.

    Raises:
        StudyError: If it cannot be imported, lacks a name, has two claims of one id, a claim about
            a variant whose settings it does not say, an effect that the report could not show, or
            an opening that it could not begin with.
    """
    key = f"{PARAMS}: claims: {study.claims}"
    for folder in (study.root, ""):
        path = str(Path(folder).resolve())
        if path not in sys.path:
            sys.path.insert(0, path)
    try:
        module = importlib.import_module(study.claims_module)
    except Exception as error:  # noqa: BLE001 - whatever the module does when it is imported
        raise StudyError(f"{key}: {in_one_line(error)}") from None
    names = ("CLAIMS", "EXPECTED_SETTINGS", "WRITTEN_DOWN")
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise StudyError(f"{key}: has no {missing[0]}")
    opening = getattr(module, "OPENING", None)
    claims, expected, written_down = (getattr(module, name) for name in names)
    ledger = Ledger(claims, expected, written_down, opening)
    problem = _problem(ledger, module) or _problem_of_opening(opening)
    if problem:
        raise StudyError(f"{key}: {problem}")
    return ledger


def _problem(ledger: Ledger, module: ModuleType) -> str | None:
    """Say what is wrong with a ledger; None where nothing is."""
    if not all(isinstance(claim, Claim) for claim in ledger.claims):
        return "CLAIMS should have entries of vanishing.judging.claims.Claim alone"
    ids = [claim.id for claim in ledger.claims]
    for claim in ledger.claims:
        if ids.count(claim.id) > 1:
            return f"two claims have the id {claim.id}"
        strange = [name for name in claim.effect.variants if name not in ledger.expected]
        if strange:
            return f"{claim.id} is about {strange[0]}, of which EXPECTED_SETTINGS says nothing"
        for function in claim.effect.functions:
            if function.__module__ not in {_EFFECTS, module.__name__}:
                return (
                    f"{claim.id} calls {function.__name__} of {function.__module__}; it should be a"
                    f" function of this module or of {_EFFECTS}"
                )
    return None


def _problem_of_opening(opening: object) -> str | None:
    """Say why no report can begin with an opening; None where one can."""
    if opening is None:
        return None
    if not isinstance(opening, Opening):
        return "OPENING should be a vanishing.judging.ledger.Opening"
    if "\n" in opening.question:
        return "OPENING.question is the title of the report: it should be one line"
    if opening.figure not in FIRST_FIGURES:
        return f"OPENING.figure should be one of {', '.join(FIRST_FIGURES)}; given {opening.figure}"
    return None


def shown_source(text: str, ledger: Ledger) -> str:
    """Return the part of a ledger's module that its effects need, for a reader to run.

    The functions of effects as they stand, and what they use of the module: other functions,
    assignments, and imports of other packages. What a module has of `vanishing.judging.effects` the
    reader has already.

    Args:
        text: Of the module.
        ledger: What it has.

    Returns:
        The source, in the order of the module; empty where effects call no function of it.
    """
    statements = ast.parse(text).body
    calls = [function for claim in ledger.claims for function in claim.effect.functions]
    needed = {function.__name__ for function in calls if function.__module__ != _EFFECTS}
    shown: list[ast.stmt] = []
    while more := [node for node in statements if node not in shown and _bound(node) & needed]:
        shown += more
        needed |= _names(more)
    lines = text.splitlines()
    return "\n\n\n".join(
        "\n".join(lines[_first_line(node) - 1 : node.end_lineno])
        for node in sorted(shown, key=lambda node: node.lineno)
    )


def _names(nodes: Sequence[ast.stmt]) -> set[str]:
    return {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds; none of an import of the library."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        return set() if f"{module}.".startswith(f"{_LIBRARY}.") else names
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
