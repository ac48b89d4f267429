"""Functions that params.yaml or a command line names as `module:function`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vanishing.errors import StudyError, did_you_mean, in_one_line


def find(name: str, key: str) -> Callable[..., Any]:
    """Import a function of an installed package, or of a module beside params.yaml.

    Args:
        name: `module:function`.
        key: Of params.yaml, for the error.

    Returns:
        The function.

    Raises:
        StudyError: If the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - whatever the module does when it is imported
        raise StudyError(f"{key}: {module_name}: {in_one_line(error)}") from None
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        hint = did_you_mean(
            function_name, [public for public in dir(module) if not public.startswith("_")]
        )
        raise StudyError(f"{key}: {module_name} has no function {function_name}{hint}")
    return function


def called(function: Callable[[], Any], name: str, command: str) -> Any:
    """Call a function that somebody named on the command line.

    Args:
        function: Without arguments.
        name: `module:function`, for the error.
        command: That was given the name, likewise.

    Returns:
        What it returns.

    Raises:
        StudyError: If it raises, in one line.
    """
    try:
        return function()
    except StudyError:
        raise
    except Exception as error:  # whatever the function raises
        raise StudyError(
            f"{command}: {name}: {type(error).__name__}: {in_one_line(error)}"
        ) from error
