"""The line of source where a module of a network is made.

A module `body.2` of a network is the attribute `body` of the network, and in it item 2. The line is
that of `self.body = …` in the class that holds it, or of the item within, where it is written out.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from textwrap import dedent
from typing import Any

from torch import nn

from vanishing.gate.failures import Place

_CONTAINERS = {"Sequential", "ModuleList"}
_REGISTER = {"add_module", "register_module", "register_parameter", "register_buffer"}


def place_of(model: nn.Module, name: str, make_model: Callable[[], Any]) -> Place | None:
    """Find the line where a module or a parameter is made.

    Args:
        model: The network.
        name: Of the module or parameter, as PyTorch has it; empty for the network.
        make_model: What made the network: the place where no class has a line.

    Returns:
        The line of the innermost assignment `self.name = …` on the way to it, in a class that is
        not torch's own; without one, that of the assignment in `make_model`; then that of
        the innermost class, and then that of `make_model`. None where no source can be read.
    """
    path = name.split(".") if name else []
    holders = _holders(model, path)
    for depth in reversed(range(len(path))):
        place = _in_class(type(holders[depth]), path[depth:])
        if place:
            return place
    maker = make_model.func if isinstance(make_model, functools.partial) else make_model
    return (
        (_in_source(maker, path) if path else None)
        or next(filter(None, (start_of(type(h)) for h in reversed(holders))), None)
        or start_of(maker)
    )


def _holders(model: nn.Module, path: Sequence[str]) -> list[nn.Module]:
    """Return the modules on the way, the network first; a parameter is none."""
    holders = [model]
    for part in path:
        inner = holders[-1]._modules.get(part)
        if inner is None:
            break
        holders.append(inner)
    return holders + holders[-1:] * (len(path) - len(holders))


def _is_of_torch(kind: Any) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "torch"


def _in_class(kind: type, path: Sequence[str]) -> Place | None:
    """Find the assignment in a class or in one that it inherits from."""
    for base in kind.__mro__:
        if issubclass(base, nn.Module) and not _is_of_torch(base):
            place = _in_source(base, path)
            if place:
                return place
    return None


def start_of(kind: Any) -> Place | None:
    """Return the first line of a class or function that is not torch's; None without a source."""
    source = None if _is_of_torch(kind) else _source(kind)
    return None if source is None else Place(source[0], source[1])


@functools.cache
def _source(thing: Any) -> tuple[str, int, ast.AST] | None:
    """Return the file, the first line and the syntax tree of a class or function."""
    try:
        lines, start = inspect.getsourcelines(thing)
        file = inspect.getsourcefile(thing)
    except (OSError, TypeError):
        return None
    try:
        tree: ast.AST = ast.parse(dedent("".join(lines)))
    except SyntaxError:  # a lambda in the middle of a call
        tree = ast.Module([], [])
    return (file, max(1, start), tree) if file else None


def _in_source(thing: Any, path: Sequence[str]) -> Place | None:
    """Find the line where the first part of a path is made, and in it the items that follow."""
    source = None if _is_of_torch(thing) else _source(thing)
    if source is None:
        return None
    file, start, tree = source
    for name, line, value in _assignments(tree):
        if re.fullmatch(name, path[0]):
            return Place(file, start + _line_of_item(line, value, path[1:]) - 1)
    return None


def _assignments(tree: ast.AST) -> Iterator[tuple[str, int, ast.AST | None]]:
    """Yield what may make a module: a pattern of its name, the line and the value."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign():
                for target in node.targets:
                    yield from _targets(target, node.value)
            case ast.AnnAssign():
                yield from _targets(node.target, node.value)
            case ast.Call():
                yield from _calls(node)


def _targets(target: ast.AST, value: ast.AST | None) -> Iterator[tuple[str, int, ast.AST | None]]:
    match target:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            yield re.escape(name), target.lineno, value
        case ast.Subscript(slice=key) if pattern := _pattern(key):
            yield pattern, target.lineno, value
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from _targets(part, None)


def _calls(call: ast.Call) -> Iterator[tuple[str, int, ast.AST | None]]:
    """Yield `self.add_module("name", …)`, `setattr(self, "name", …)`, `OrderedDict(name=…)`."""
    match call:
        case ast.Call(func=ast.Attribute(attr=attribute), args=[key, *_]) if attribute in _REGISTER:
            if pattern := _pattern(key):
                yield pattern, call.lineno, None
        case ast.Call(func=ast.Name(id="setattr"), args=[_, key, *_]):
            if pattern := _pattern(key):
                yield pattern, call.lineno, None
        case ast.Call(func=ast.Name(id="OrderedDict" | "dict" | "ModuleDict"), keywords=items):
            for item in items:
                if item.arg:
                    yield re.escape(item.arg), item.value.lineno, item.value


def _pattern(key: ast.AST) -> str | None:
    """Return a pattern of the strings that an expression can be: `f"block{number}"` is many."""
    match key:
        case ast.Constant(value=str(text)):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            texts = [p.value if isinstance(p, ast.Constant) else None for p in parts]
            return "".join(".+" if text is None else re.escape(str(text)) for text in texts)
        case _:
            return None


def _line_of_item(line: int, value: ast.AST | None, path: Sequence[str]) -> int:
    """Return the line of an item of a `Sequential` or `ModuleList` that is written out."""
    if not path or not path[0].isdigit() or not isinstance(value, ast.Call):
        return line
    if ast.unparse(value.func).rpartition(".")[2] not in _CONTAINERS:
        return line
    items = value.args
    if len(items) == 1 and isinstance(items[0], ast.List | ast.Tuple):
        items = items[0].elts
    number = int(path[0])
    if number >= len(items) or any(isinstance(item, ast.Starred) for item in items[: number + 1]):
        return line
    return _line_of_item(items[number].lineno, items[number], path[1:])
