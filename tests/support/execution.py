"""The functions that are called while something runs, and the names that they refer to."""

import ast
import dis
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

Calls = dict[CodeType, dict[str, Any]]  # {code of a function: the names of its module}
TraceFunction = Callable[[FrameType, str, Any], "TraceFunction | None"]


@contextmanager
def watch_calls(*packages: str) -> Iterator[Calls]:
    """Collect the functions of some packages that are called.

    Functions that run while a module is imported are left out: their results are in the names that
    the module binds.

    Args:
        *packages: Names of the packages.

    Yields:
        The functions, added as they are called.
    """
    calls: Calls = {}
    others: set[CodeType] = set()  # code that is no function of these packages
    imports = 0  # modules that are being imported

    def trace(frame: FrameType, _event: str, _argument: Any) -> TraceFunction | None:
        nonlocal imports
        code = frame.f_code
        if code in others:
            return None
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if code.co_name == "<module>":
            imports += 1
            return trace_import
        if package not in packages or not code.co_flags & inspect.CO_OPTIMIZED:
            others.add(code)
        elif not imports and not code.co_filename.startswith("<"):
            calls[code] = frame.f_globals
        return None

    def trace_import(_frame: FrameType, event: str, _argument: Any) -> TraceFunction:
        nonlocal imports
        imports -= event == "return"
        return trace_import

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield calls
    finally:
        sys.settrace(None)
        threading.settrace(None)


def find_definitions(calls: Calls) -> set[str]:
    """Return the definitions at the top of modules, `module.name`, that hold the functions."""
    return {
        f"{names['__name__']}.{_find_definition(code.co_filename, code.co_firstlineno)}"
        for code, names in calls.items()
    }


def find_references(calls: Calls) -> set[str]:
    """Return the names of modules, `module.name`, that the bytecode of the functions refers to."""
    references = set()
    for code, names in calls.items():
        package = names["__name__"].partition(".")[0]
        instructions = list(dis.get_instructions(code))
        for instruction, following in pairwise(instructions):
            name = instruction.argval
            if instruction.opname != "LOAD_GLOBAL" or name not in names or name[:2] == "__":
                continue
            if name.startswith("@"):  # pytest rewrites assertions of the package with its plugin
                continue
            references.add(f"{names['__name__']}.{name}")
            value = names[name]
            is_module = isinstance(value, ModuleType) and value.__name__.startswith(f"{package}.")
            if is_module and following.opname in {"LOAD_ATTR", "LOAD_METHOD"}:
                references.add(f"{value.__name__}.{following.argval}")
    return references


def _find_definition(path: str, line: int) -> str:
    """Return the name that the statement at the top of a file binds that holds a line."""
    for statement in ast.parse(Path(path).read_bytes()).body:
        decorators = getattr(statement, "decorator_list", [])
        first = min(node.lineno for node in [statement, *decorators])
        if first <= line <= (statement.end_lineno or 0):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement
            return str(getattr(target, "name", None) or getattr(target, "id", ""))
    raise LookupError(f"{path}: no statement holds line {line}")
