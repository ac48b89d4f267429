"""One module's source text: the names that it binds, and the names that its statements refer to."""

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import NamedTuple

from vanishing.errors import StudyError

EFFECTS = ""  # the name of a module's statements that bind nothing, such as `register(…)`
STAR = "*"  # the name that `from module import *` binds

_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars"})
_IMPORTERS = frozenset({"__import__", "import_module"})
# Decorators that only return a function or a class. Any other could register it somewhere.
_PURE_DECORATORS = frozenset(
    {
        *("cache", "contextmanager", "dataclass", "final", "inference_mode", "lru_cache"),
        *("no_grad", "overload", "runtime_checkable", "singledispatch", "total_ordering", "wraps"),
    }
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Origin(NamedTuple):
    """Where an imported name comes from: a module, or a name in it."""

    module: str
    name: str | None


class Imported(NamedTuple):
    """What an import statement does.

    Attributes:
        origins: {name that it binds: its origin}.
        loads: Dotted names of the modules that it may load.
    """

    origins: dict[str, Origin]
    loads: set[str]


class Place(NamedTuple):
    """The module that holds a statement.

    Attributes:
        module: Its dotted name.
        is_package: Whether it is the `__init__` of a package.
    """

    module: str
    is_package: bool


class References(ast.NodeVisitor):
    """The names that statements refer to.

    Attributes:
        chains: `a.b.c` as ("a", "b", "c"), and a name that stands alone as ("a",).
        texts: Texts that could be a name, such as an annotation in quotes.
        origins: {name: its origins} of imports inside these statements.
        loads: Dotted names of the modules that these imports may load.
        modules: Dotted names of modules that are imported by a call, with their names as a text.
        is_dynamic: Whether names are looked up that are not in the text.
    """

    def __init__(self, place: Place, statements: Sequence[ast.stmt]) -> None:
        self.chains: set[tuple[str, ...]] = set()
        self.texts: set[str] = set()
        self.origins: dict[str, set[Origin]] = {}
        self.loads: set[str] = set()
        self.modules: set[str] = set()
        self._place = place
        for statement in statements:
            self.visit(statement)
        self.is_dynamic = any(
            chain[0] in _DYNAMIC or chain[:2] == ("sys", "modules") for chain in self.chains
        )

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name."""
        self.chains.add((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note a chain of attributes of a name; visit any other expression."""
        chain: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self.chains.add((inner.id, *chain))
        else:
            self.visit(inner)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Note a text that could be a name."""
        if isinstance(node.value, str) and node.value.isidentifier():
            self.texts.add(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """Note a module that is imported by a call."""
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in _IMPORTERS:
            self.modules |= {text for text in map(_text, node.args) if text is not None}
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """Visit an argument's annotation."""
        self._visit_annotation(node.annotation)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Visit an assignment and its annotation."""
        self._visit_annotation(node.annotation)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Visit a function and the annotation of what it returns."""
        self._visit_annotation(node.returns)
        self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Visit a function and the annotation of what it returns."""
        self._visit_annotation(node.returns)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Note an import."""
        self._note(imported(node, self._place))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note an import."""
        self._note(imported(node, self._place))

    def _note(self, names: Imported) -> None:
        self.loads |= names.loads
        for name, origin in names.origins.items():
            self.origins.setdefault(name, set()).add(origin)

    def _visit_annotation(self, annotation: ast.expr | None) -> None:
        """Visit an annotation, and the expressions in its texts: pydantic evaluates them."""
        if annotation is None:
            return
        self.visit(annotation)
        for text in filter(None, map(_text, ast.walk(annotation))):
            with suppress(SyntaxError):  # a text that is no expression, as Literal may have
                self.visit(ast.parse(text, mode="eval"))


class Definition:
    """Everything that binds one name at the top of a module; compared by identity.

    Attributes:
        place: The module.
        statements: Functions, classes and assignments.
        origins: Of imports.
        order: Of EFFECTS, where the order of a module's statements matters: their names.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.statements: list[ast.stmt] = []
        self.origins: list[Origin] = []
        self.order: tuple[str, ...] = ()

    @cached_property
    def references(self) -> References:
        """The names that the statements refer to."""
        return References(self.place, self.statements)


class Module(NamedTuple):
    """The source of one module.

    Attributes:
        definitions: {name: what binds it}; EFFECTS has the statements that bind nothing.
        loads: Dotted names of the modules that may be loaded with it.
    """

    definitions: dict[str, Definition]
    loads: set[str]


def parse(source: bytes, path: str, place: Place) -> Module:
    """Parse a module; once for the same text.

    Args:
        source: Its text.
        path: For error messages.
        place: Its name.

    Returns:
        The module.

    Raises:
        StudyError: If the text is not Python.
    """
    try:
        return _parse(source, place)
    except SyntaxError as error:
        raise StudyError(f"{path}:{error.lineno or 1}: {error.msg}") from None
    except ValueError as error:  # a null byte, before Python 3.11.4
        raise StudyError(f"{path}:1: {error}") from None


@cache
def _parse(source: bytes, place: Place) -> Module:
    statements = ast.parse(source).body
    definitions: dict[str, Definition] = {EFFECTS: Definition(place)}
    loads: set[str] = set()
    order: list[str] = []

    def define(name: str) -> Definition:
        return definitions.setdefault(name, Definition(place))

    for statement in statements:
        if is_docstring(statement) or _is_for_type_checkers(statement):
            continue
        names = _names(statement)
        for name in names:
            define(name).statements.append(statement)
        if not isinstance(statement, _Function | ast.ClassDef | ast.Import | ast.ImportFrom):
            order += names
        # Of a compound statement, the imports bind names of the module, and run with it.
        if not isinstance(statement, _Function | ast.ClassDef):
            references = References(place, [statement])
            loads |= references.loads
            for name, origins in references.origins.items():
                define(name).origins += sorted(origins, key=repr)
    if definitions[EFFECTS].statements or len(order) > len(set(order)):
        definitions[EFFECTS].order = tuple(order)
    return Module(definitions, loads)


def imported(node: ast.Import | ast.ImportFrom, place: Place) -> Imported:
    """Return what an import statement of a module does."""
    if isinstance(node, ast.Import):
        origins = {
            alias.asname or alias.name.partition(".")[0]: Origin(
                alias.name if alias.asname else alias.name.partition(".")[0], None
            )
            for alias in node.names
        }
        return Imported(origins, {alias.name for alias in node.names})
    parts = place.module.split(".")
    base = parts[: len(parts) - node.level + place.is_package] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    return Imported(
        {alias.asname or alias.name: Origin(module, alias.name) for alias in node.names},
        {module, *(f"{module}.{alias.name}" for alias in node.names)},
    )


def _names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module binds, and EFFECTS if it does more.

    An import binds its names by their origins, and an import from `__future__` is an effect.
    """
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return [EFFECTS]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    if isinstance(statement, _Function | ast.ClassDef):
        pure = all(_is_pure(decorator) for decorator in statement.decorator_list)
        return [statement.name] if pure else [statement.name, EFFECTS]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return [EFFECTS]
    names = list(dict.fromkeys(_names_of_targets(targets)))
    return names if all(map(_is_plain, targets)) and names != ["_"] else [*names, EFFECTS]


def _names_of_targets(targets: list[ast.expr]) -> Iterator[str]:
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                yield node.id


def _is_plain(target: ast.expr) -> bool:
    """Return whether a target of an assignment binds names and does nothing else."""
    parts = ast.Name | ast.Tuple | ast.List | ast.Starred | ast.expr_context
    return all(isinstance(node, parts) for node in ast.walk(target))


def _is_pure(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(function).rpartition(".")[2] in _PURE_DECORATORS


def _text(node: ast.AST) -> str | None:
    """Return the value of a text; None for any other node."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def is_docstring(statement: ast.AST) -> bool:
    """Return whether a statement is a text, which does nothing."""
    return isinstance(statement, ast.Expr) and _text(statement.value) is not None


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:`, which never runs."""
    return (
        isinstance(statement, ast.If)
        and not statement.orelse
        and ast.unparse(statement.test).rpartition(".")[2] == "TYPE_CHECKING"
    )
