"""Other programs: which tests need them, waiting for what they do, whether they are still there."""

import os
import time
from collections.abc import Callable

import psutil
import pytest


def needs(program: object, reason: str) -> pytest.MarkDecorator:
    """Leave tests out where a system package, which pip cannot bring, is not installed.

    Only a machine without it leaves them out: `.ci/run` sets ALL_TESTS, with which nothing is.

    Args:
        program: What was found of it; None if nothing.
        reason: What is missing, and how to install it.

    Returns:
        What marks a test, or all of a module as its `pytestmark`.
    """
    return pytest.mark.skipif(program is None and "ALL_TESTS" not in os.environ, reason=reason)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for a minute at the most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
