"""Other programs: tests that need one, waiting for one, and whether it runs."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest


def needs(program: object, reason: str) -> pytest.MarkDecorator:
    """Skip tests where a system package, which no lock can bring, is not installed.

    A person without PostgreSQL or Chromium learns from a skip how to install it, and still learns
    from all other tests whether their change is right. Nothing goes untested by that: `.ci/run`
    installs the packages and sets ALL_TESTS, with which such a test fails instead.

    Args:
        program: Anything of the package; None if it is not installed.
        reason: The package, and how to install it.

    Returns:
        A mark for a test, or for all of a module as its `pytestmark`.
    """
    # No lock brings a system package; with ALL_TESTS, as in CI, its lack fails and skips nothing.
    return pytest.mark.skipif(program is None and "ALL_TESTS" not in os.environ, reason=reason)


def until(holds: Callable[[], bool], patience_s: float = 60) -> None:
    """Wait until a condition holds, for a minute at most, or as long as the caller says."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Return whether a process runs; a zombie, which waits to be reaped, does not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def below(process: int, *arguments: str) -> list[psutil.Process]:
    """Return the processes that a process started, directly or not, with these first arguments.

    Args:
        process: The number of the process at the top.
        arguments: The words after the program's name, such as `-m dvc`; none for all processes.
    """
    processes = []
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if child.cmdline()[1 : 1 + len(arguments)] == list(arguments):
                processes.append(child)
    return processes
