"""Fingerprints of code: texts that change when the code that a stage runs does, and not before.

A fingerprint has a line per definition (function, class, assignment) that a stage uses, directly or
not: its name and the SHA-256 of its syntax tree without comments, docstrings, positions and
formatting. Each stage depends on the one file that holds its own. The lines are the same on every
Python that the project supports (docs/decisions/0010).
"""

import ast
import hashlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from vanishing.errors import StudyError
from vanishing.params.study import Study, Variant
from vanishing.paths import PARAMS, STAGES, stage_fingerprint, variant_fingerprint
from vanishing.pipeline.source import Definitions, Source

# Fields of the syntax tree that say nothing, or that only some Pythons have.
_IGNORED_FIELDS = frozenset({"type_params", "type_comment", "kind", "type_ignores", "ctx"})
_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


BY_VARIANT = ("train", "extract", "initialise")  # stages that work on one variant
_TAKES_FINGERPRINTS = "fingerprint"  # the one stage that has none
_MIRROR = "track"  # the only stage with results in MLflow; the others only tell it of theirs

# {a variant's key: the registry that its value names an entry of}
_REGISTRIES = {
    "activation": ("vanishing.activations", "ACTIVATIONS"),
    "init": ("vanishing.initialisers", "INITIALISERS"),
}


def fingerprints(study: Study, paths: Collection[Path] | None = None) -> dict[Path, str]:
    """Return the fingerprints of a study's stages and variants, of the code as it is now.

    Args:
        study: Its parameters.
        paths: Of the fingerprints to return; None for all.

    Returns:
        {path: text}.
    """
    root, code = Path(study.root), Path(study.code)
    stages = sorted(path.stem for path in (root / STAGES).glob("[a-z]*.py"))
    texts: dict[Path, Callable[[], str]] = {
        stage_fingerprint(stage): partial(of_stage, stage, root)
        for stage in stages
        if stage != _TAKES_FINGERPRINTS
    }
    for name, variant in study.variants.items():
        texts[variant_fingerprint(name)] = partial(of_variant, variant, code, root)
    return {path: text() for path, text in texts.items() if paths is None or path in paths}


def of_stage(stage: str, root: Path) -> str:
    """Return the fingerprint of a stage's code.

    Args:
        stage: Its name; its module is `stages.NAME`.
        root: The root of the repository.

    Returns:
        A line per definition, in alphabetical order. A stage of BY_VARIANT also depends on
        `of_variant`, and on no registry as a whole.
    """
    registries = _REGISTRIES.values() if stage in BY_VARIANT else ()
    without = [".".join(registry) for registry in registries]
    if stage != _MIRROR:
        without.append("vanishing.tracking")
    return _text(lambda: Source([root]).used_by(f"stages.{stage}", without))


def of_variant(variant: Variant, code: Path, root: Path) -> str:
    """Return the fingerprint of the code that one variant names.

    Args:
        variant: Its entries of the registries count. Where it names a function of the study's own
            code, that function counts, all that it uses, and every entry of the registries.
        code: The file or folder that holds the study's own modules.
        root: The root of the repository.

    Returns:
        A line per definition, in alphabetical order.

    Raises:
        StudyError: If `code` has no such module.
    """
    source = Source([root])
    if variant.network is None:
        entries = [(registry, getattr(variant, key)) for key, registry in _REGISTRIES.items()]
        return _text(*(partial(source.used_by_entry, *entry) for entry in entries))
    module, _, _ = variant.network.partition(":")
    path = Path(*module.split(".")).with_suffix(".py")
    if code not in {path, *path.parents}:
        raise StudyError(f"{PARAMS}: code: should be {path} or a folder above it; given {code}")
    if not path.is_file():
        raise StudyError(f"{path}: missing; {PARAMS} names {variant.network}")
    modules = [module, *(registry for registry, _ in _REGISTRIES.values())]
    return _text(*(partial(Source([Path(), root]).used_by, name) for name in modules))


def differences(before: str, after: str) -> list[str]:
    """Name the definitions whose lines differ between two fingerprints."""
    old, new = (
        dict(line.rpartition(" ")[::2] for line in text.splitlines()) for text in (before, after)
    )
    return sorted(name for name in old | new if old.get(name) != new.get(name))


def _text(*parts: Callable[[], Definitions]) -> str:
    try:
        used = {item: statements for part in parts for item, statements in part().items()}
    except SyntaxError as error:
        raise StudyError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    lines = {".".join(filter(None, item)): _digest(used[item]) for item in used}
    return "".join(f"{name} {digest}\n" for name, digest in sorted(lines.items()))


def _digest(statements: list[ast.stmt]) -> str:
    return hashlib.sha256(repr(canonical(statements)).encode()).hexdigest()


def canonical(node: Any) -> Any:
    """Write a syntax tree as nested tuples, the same on every Python.

    Fields that are None or empty are left out, and so are docstrings, positions and the fields that
    only some Pythons have.

    Args:
        node: A node of `ast`, a list of nodes, or a value of a field.

    Returns:
        (type, ((field, value), …)) of a node, a tuple of a list, else the value.
    """
    if isinstance(node, list):
        return tuple(canonical(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = fields["body"][1:]
    return type(node).__name__, tuple(
        (name, canonical(value))
        for name, value in fields.items()
        if name not in _IGNORED_FIELDS and value is not None and value != []
    )
