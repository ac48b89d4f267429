"""Which definitions of a repository's modules a module uses, read from the source text.

A definition is a function, a class or an assignment at the top of a module. Reading is on the safe
side: where a module is used as a value, or names are looked up dynamically, all of the module
counts. A module that is imported by a computed name is not in the text, and is not followed.
"""

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

EFFECTS = ""  # the name of a module's statements that define nothing, such as `register(…)`
_DYNAMIC = frozenset({"globals", "vars", "locals"})

Name = tuple[str, str]  # (module, definition)
Definitions = dict[Name, list[ast.stmt]]


class Origin(NamedTuple):
    """Where an imported name comes from: a module, or a name in it."""

    module: str
    name: str | None


class References(ast.NodeVisitor):
    """The names that statements refer to.

    Attributes:
        names: Names that stand alone, and texts that could be annotations in quotes.
        attributes: (name, attribute) where an attribute of a name is used.
        origins: The origins of imports inside functions.
    """

    def __init__(self, module: str, is_package: bool, statements: list[ast.stmt]) -> None:
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.origins: set[Origin] = set()
        self._place = (module, is_package)
        for statement in statements:
            self.visit(statement)

    def visit_Name(self, node: ast.Name) -> None:
        """Note a name."""
        self.names.add(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Note a text that could be an annotation."""
        if isinstance(node.value, str):
            self.names.add(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note an attribute of a name; visit any other expression."""
        if isinstance(node.value, ast.Name):
            self.attributes.add((node.value.id, node.attr))
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Note the origins of an import."""
        self.origins |= set(_origins(node, *self._place).values())

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note the origins of an import."""
        self.origins |= set(_origins(node, *self._place).values())


class Module(NamedTuple):
    """The source of one module.

    Attributes:
        definitions: {name: the statements that bind it}; EFFECTS has those that define nothing.
        imports: {name: its origin} of the imports at the top.
        is_package: Whether it is an `__init__`.
    """

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Origin]
    is_package: bool


class Source:
    """The modules below some folders.

    Args:
        folders: Searched in this order, as `sys.path` is.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def used_by(self, module: str, without: Collection[str] = ()) -> Definitions:
        """Return a module's definitions and all that they use, directly or not.

        Args:
            module: Its dotted name.
            without: Dotted names of definitions, modules and packages to leave out, with all that
                only they use.

        Returns:
            {(module, name): its statements}, with the name EFFECTS for statements without one.
        """
        return self._closure(self._all_of(module), without)

    def used_by_entry(self, registry: Name, key: str) -> Definitions:
        """Return one entry of a dict that a module defines, and all that it uses.

        Args:
            registry: The dict, written out with texts as keys.
            key: Of the entry.

        Returns:
            As `used_by`; the entry has the name `REGISTRY[KEY]`.
        """
        module, name = registry
        content = self._read(module)
        assert content is not None  # noqa: S101 - a registry of this library
        (statement,) = content.definitions[name]
        assert isinstance(statement, ast.Assign)  # noqa: S101 - as above
        assert isinstance(statement.value, ast.Dict)  # noqa: S101 - as above
        entries = zip(statement.value.keys, statement.value.values, strict=True)
        (value,) = [v for k, v in entries if isinstance(k, ast.Constant) and k.value == key]
        statements: list[ast.stmt] = [ast.Expr(value)]
        used = self._closure(self._references(module, content, statements), ())
        return {(module, f"{name}[{key}]"): statements, **used}

    def _closure(self, names: Iterable[Name], without: Collection[str]) -> Definitions:
        used: Definitions = {}
        loaded: set[str] = set()
        visited: set[Name] = set()
        waiting = list(names)
        while waiting:
            module, name = item = waiting.pop()
            content = self._read(module)
            if content is None or item in visited:
                continue
            visited.add(item)
            if any(f"{module}.{name}.".startswith(f"{left_out}.") for left_out in without):
                continue
            if module not in loaded:
                loaded.add(module)
                waiting += self._loaded_with(module, content)
            if name in content.definitions:
                used[item] = content.definitions[name]
                waiting += self._references(module, content, used[item])
            else:
                waiting += self._origin(module, content, name)
        return {item: statements for item, statements in used.items() if statements}

    def _all_of(self, module: str) -> Iterator[Name]:
        content = self._read(module)
        if content is not None:
            yield from ((module, name) for name in (*content.definitions, *content.imports))

    def _loaded_with(self, module: str, content: Module) -> Iterator[Name]:
        """Yield the statements without a name that run when a module is imported."""
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            yield ".".join(parts[:length]), EFFECTS
        for origin in content.imports.values():
            yield origin.module, EFFECTS
            if origin.name is not None:
                yield f"{origin.module}.{origin.name}", EFFECTS

    def _origin(self, module: str, content: Module, name: str) -> Iterator[Name]:
        """Yield where a name comes from that a module imports, at once or lazily."""
        stub = self._read(module, ".pyi")
        origin = content.imports.get(name) or (stub.imports.get(name) if stub else None)
        if origin is not None and origin.name is not None:
            yield origin.module, origin.name

    def _references(
        self, place: str, content: Module, statements: list[ast.stmt]
    ) -> Iterator[Name]:
        """Yield the names that statements of a module refer to."""
        references = References(place, content.is_package, statements)
        for alias, attribute in references.attributes:
            module = self._module(content.imports.get(alias))
            yield (place, alias) if module is None else (module, attribute)
        for alias in references.names:
            module = self._module(content.imports.get(alias))
            yield from self._all_of(module) if module is not None else [(place, alias)]
        if references.names & _DYNAMIC:
            yield from self._all_of(place)
        for origin in references.origins:
            module = self._module(origin)
            if module is not None:
                yield from self._all_of(module)
            elif origin.name is not None:
                yield origin.module, origin.name

    def _module(self, origin: Origin | None) -> str | None:
        """Return the module that an import binds, or None where it binds something else."""
        if origin is None:
            return None
        module = origin.module if origin.name is None else f"{origin.module}.{origin.name}"
        return module if self._path(module) is not None else None

    def _path(self, module: str, suffix: str = ".py") -> Path | None:
        for folder in self._folders:
            base = folder.joinpath(*module.split("."))
            for path in (base / f"__init__{suffix}", base.with_name(f"{base.name}{suffix}")):
                if path.is_file():
                    return path
        return None

    def _read(self, module: str, suffix: str = ".py") -> Module | None:
        path = self._path(module, suffix)
        if path is None:
            return None
        return _parse(path.read_bytes(), str(path), module, path.stem == "__init__")


@cache
def _parse(source: bytes, path: str, module: str, is_package: bool) -> Module:
    definitions: dict[str, list[ast.stmt]] = {EFFECTS: []}
    imports: dict[str, Origin] = {}
    for statement in ast.parse(source, path).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= _origins(statement, module, is_package)
            continue
        for name in _bound(statement):
            definitions.setdefault(name, []).append(statement)
    return Module(definitions, imports, is_package)


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module binds, EFFECTS if there are none."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        return [] if is_text else [EFFECTS]
    names = [
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    ]
    plain = all(isinstance(target, ast.Name | ast.Tuple | ast.List) for target in targets)
    return names if plain else [*names, EFFECTS]


def _origins(node: ast.Import | ast.ImportFrom, module: str, is_package: bool) -> dict[str, Origin]:
    """Return {name: its origin} of an import in a module."""
    if isinstance(node, ast.Import):  # `import a.b` binds a, and loads a.b
        return {alias.asname or alias.name: Origin(alias.name, None) for alias in node.names}
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package] if node.level else []
    origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
    return {alias.asname or alias.name: Origin(origin, alias.name) for alias in node.names}
