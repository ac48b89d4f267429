"""Which definitions of a repository's modules a module uses, read from the source text.

A definition is everything that binds one name at the top of a module: a function, a class,
assignments, imports. Reading is on the safe side: where a module is used as a value, or names are
looked up dynamically, all of the module counts. Two things are not in the text, and are not
followed: a module that is imported by a computed name, and a class that registers itself by being
defined (`__init_subclass__`).
"""

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from vanishing.pipeline.syntax import EFFECTS, STAR, Definition, Module, Origin, Place, parse

Name = tuple[str, str]  # (module, name of a definition)
Definitions = dict[Name, Definition]


class Source:
    """The modules below some folders; each file is read once.

    Args:
        folders: Searched in this order, as `sys.path` is.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._external: dict[str, bool] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}
        self._modules: dict[tuple[str, str], Module | None] = {}
        self._implicit: dict[Name, Definition | None] = {}
        self._references: dict[Definition, list[Name]] = {}

    def path(self, module: str, suffix: str = ".py") -> Path | None:
        """Return the file of a module, of this suffix; None where there is none."""
        key = module, suffix
        if key not in self._paths:
            self._paths[key] = next(filter(Path.is_file, self._candidates(module, suffix)), None)
        return self._paths[key]

    def used_by(self, module: str, without: Collection[str] = ()) -> Definitions:
        """Return a module's definitions and all that they use, directly or not.

        Args:
            module: Its dotted name.
            without: Dotted names of definitions, modules and packages to leave out, with all that
                only they use.

        Returns:
            {(module, name): definition}, with the name EFFECTS for statements that bind none.
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
        definition = self._definitions(module)[name]
        (statement,) = definition.statements
        assert isinstance(statement, ast.Assign)  # noqa: S101 - a registry of this library
        assert isinstance(statement.value, ast.Dict)  # noqa: S101 - as above
        entries = zip(statement.value.keys, statement.value.values, strict=True)
        (value,) = [v for k, v in entries if isinstance(k, ast.Constant) and k.value == key]
        entry = Definition(definition.place)
        entry.statements.append(ast.Expr(value))
        used = self._closure(self._used_directly(entry), ())
        return {(module, f"{name}[{key}]"): entry, **used}

    def _closure(self, names: Iterable[Name], without: Collection[str]) -> Definitions:
        used: Definitions = {}
        loaded: set[str] = set()
        visited: set[Name] = set()
        waiting = list(names)
        while waiting:
            module, name = item = waiting.pop()
            if item in visited:
                continue
            visited.add(item)
            if any(f"{module}.{name}.".startswith(f"{left_out}.") for left_out in without):
                continue
            if module not in loaded:
                loaded.add(module)
                waiting += self._loaded_with(module)
            definition = self._definition(item)
            if definition is not None:
                used[item] = definition
                waiting += self._used_directly(definition)
        return {
            item: definition
            for item, definition in used.items()
            if definition.statements or definition.origins or definition.order
        }

    def _loaded_with(self, module: str) -> Iterator[Name]:
        """Yield the statements that bind nothing and that run when a module is imported."""
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            yield ".".join(parts[:length]), EFFECTS
        content = self._read(module)
        for loaded in content.loads if content else ():
            yield loaded, EFFECTS

    def _used_directly(self, definition: Definition) -> list[Name]:
        """Return the names that a definition refers to."""
        if definition not in self._references:
            self._references[definition] = list(self._find_references(definition))
        return self._references[definition]

    def _find_references(self, definition: Definition) -> Iterator[Name]:
        """Yield the names that a definition refers to, some more than once."""
        references, place = definition.references, definition.place.module
        for origin in definition.origins:
            yield from self._follow(origin, None)
        for name, *attributes in references.chains:
            yield from self._member(place, name, attributes, frozenset())
            for origin in references.origins.get(name, ()):
                yield from self._follow(origin, attributes)
        for text in references.texts:
            yield place, text
        for module in references.loads:
            yield module, EFFECTS
        for module in references.modules:
            yield from self._all_of(module)
        if references.is_dynamic:
            yield from self._all_of(place)

    def _follow(
        self, origin: Origin, attributes: Sequence[str] | None, trail: frozenset[Name] = frozenset()
    ) -> Iterator[Name]:
        """Yield the definitions that an import stands for.

        Args:
            origin: Of the import.
            attributes: The chain of attributes that is taken of the imported name; none where the
                name stands alone, None where only the import itself is looked at.
            trail: Names on the way, which end a circle of imports.
        """
        module = self._imported_module(origin)
        if origin.name == STAR:
            yield from self._all_of(origin.module)
        elif module is None:
            yield from self._member(origin.module, str(origin.name), attributes, trail)
        elif attributes:
            yield from self._member(module, attributes[0], attributes[1:], trail)
        elif attributes is not None:
            yield from self._all_of(module)

    def _member(
        self, module: str, name: str, attributes: Sequence[str] | None, trail: frozenset[Name]
    ) -> Iterator[Name]:
        """Yield a name of a module, and what a chain of attributes of it stands for."""
        item = module, name
        yield item
        definition = None if item in trail else self._definition(item)
        for origin in definition.origins if definition else ():
            yield from self._follow(origin, attributes, trail | {item})

    def _imported_module(self, origin: Origin) -> str | None:
        """Return the module that an import binds; None where it binds a name of a module."""
        module, name = origin
        if name is None:
            return module
        submodule = f"{module}.{name}"
        definition = self._definitions(module).get(name)
        # `from . import name` in the package itself binds the submodule.
        is_bound = definition and (definition.statements or set(definition.origins) - {origin})
        return submodule if self.path(submodule) is not None and not is_bound else None

    def _definition(self, item: Name) -> Definition | None:
        """Return what binds a name of a module."""
        module, name = item
        definition = self._definitions(module).get(name)
        if definition is not None:
            return definition
        if item not in self._implicit:
            self._implicit[item] = None  # which ends a circle of `import *`
            implicit = Definition(Place(module, is_package=False))
            implicit.origins += self._implicit_origins(module, name)
            self._implicit[item] = implicit if implicit.origins else None
        return self._implicit[item]

    def _implicit_origins(self, module: str, name: str) -> Iterator[Origin]:
        """Yield where a name may come from that the text of a module does not bind.

        It may be a submodule, a name that a stub (`.pyi`) lists because it is imported lazily, a
        name from `import *`, or a matter for the module's own `__getattr__`.
        """
        definitions, stub = self._definitions(module), self._read(module, ".pyi")
        if self.path(f"{module}.{name}") is not None:
            yield Origin(f"{module}.{name}", None)
        if stub is not None and name in stub.definitions:
            yield from stub.definitions[name].origins
        for origin in definitions[STAR].origins if STAR in definitions else ():
            if self._is_external(origin.module):
                yield origin
            elif self._definition((origin.module, name)) is not None:
                yield origin._replace(name=name)
        if "__getattr__" in definitions:
            yield Origin(module, "__getattr__")

    def _all_of(self, module: str) -> Iterator[Name]:
        for suffix in (".py", ".pyi"):
            content = self._read(module, suffix)
            yield from ((module, name) for name in (content.definitions if content else ()))

    def _definitions(self, module: str) -> dict[str, Definition]:
        content = self._read(module)
        return content.definitions if content else {}

    def _read(self, module: str, suffix: str = ".py") -> Module | None:
        key = module, suffix
        if key not in self._modules:
            path = self.path(module, suffix)
            if path is None:
                self._modules[key] = None
            else:
                place = Place(module, path.stem == "__init__")
                self._modules[key] = parse(path.read_bytes(), str(path), place)
        return self._modules[key]

    def _candidates(self, module: str, suffix: str) -> Iterator[Path]:
        if self._is_external(module):
            return
        for folder in self._folders:
            base = folder.joinpath(*module.split("."))
            yield base / f"__init__{suffix}"
            yield base.with_name(f"{base.name}{suffix}")

    def _is_external(self, module: str) -> bool:
        """Return whether a module is in none of the folders."""
        name = module.partition(".")[0]
        if name not in self._external:
            files = (folder / text for folder in self._folders for text in (name, f"{name}.py"))
            self._external[name] = not any(file.exists() for file in files)
        return self._external[name]
