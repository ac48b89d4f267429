"""Waiting for what other processes do, and whether they are still there."""

import time
from collections.abc import Callable

import psutil


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
