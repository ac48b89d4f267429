"""Ratios from interleaved repeats, and what machine they were measured on."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

Case = Callable[[], float]


class Result(NamedTuple):
    """One row of the table.

    Attributes:
        what: What is divided by what.
        value: The figure, or None where it was not measured.
        must: What it must reach, with its direction: `>= 2.2`; empty where nothing is asked.
        aim: What it should reach, likewise.
        unit: `×` or another.
        detail: The figures behind it, in words.
    """

    what: str
    value: float | None
    must: str
    aim: str
    unit: str
    detail: str


def meets(value: float | None, limit: str) -> bool | None:
    """Say whether a figure reaches a limit as in `Result`; None where there is one of them only."""
    if value is None or not limit:
        return None
    relation, bound = limit.split()
    return value >= float(bound) if relation == ">=" else value <= float(bound)


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleave(cases: dict[str, Case], repeats: int, label: str) -> dict[str, list[float]]:
    """Run the cases in turn, A B A B …, so that a slow spell of the machine meets all of them.

    Args:
        cases: {name: what returns a duration or another figure of one repeat}.
        repeats: How often each is run.
        label: For the progress bar.

    Returns:
        {name: its figures, one a repeat}.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    turns = [name for _ in range(repeats) for name in cases]
    for name in tqdm(turns, desc=label, unit="run", disable=None):
        found[name].append(cases[name]())
    return found


def ratio(over: list[float], under: list[float]) -> float:
    """Return the median of the ratios of each repeat."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def command(*arguments: str, cwd: str | os.PathLike[str] = ".", **variables: str) -> Case:
    """Make a case of a Python command in a process of its own: its wall time in seconds."""

    def run() -> float:
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - commands of the benchmarks
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout}")
        return time.perf_counter() - begun

    return run


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that speed depends on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
