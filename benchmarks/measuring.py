"""Ratios from interleaved repeats, and limits that they are held against."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tqdm import tqdm

Case = Callable[[], float]  # returns the figure of one repeat, usually seconds
Row = dict[str, Any]


class Result(NamedTuple):
    """One row of the report's first table.

    Attributes:
        what: The measurement; of a ratio, its numerator and denominator.
        value: The figure, or None where it was not measured.
        must: The limit that it must reach, as `>= 2.2` or `<= 1.5`; empty where there is none.
        aim: The limit that it should reach, likewise.
        unit: `×` or another.
        detail: The figures from which it was computed, as a text.
    """

    what: str
    value: float | None
    must: str
    aim: str
    unit: str
    detail: str


class Figures(NamedTuple):
    """The figures of one benchmark.

    Attributes:
        results: Rows of the report's first table.
        tables: {key of `__main__.TITLES`: rows}.
    """

    results: list[Result]
    tables: dict[str, list[Row]]


def meets(value: float | None, limit: str) -> bool | None:
    """Tell whether a figure reaches a limit of `Result`; None where either is missing."""
    if value is None or not limit:
        return None
    relation, bound = limit.split()
    return value >= float(bound) if relation == ">=" else value <= float(bound)


def seconds(work: Callable[[], Any]) -> float:
    """Call `work` and return how many seconds it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleave(cases: Mapping[str, Case], repeats: int, label: str) -> dict[str, list[float]]:
    """Run the cases in turn, A B A B …, so that a slow spell of the machine meets all of them.

    Args:
        cases: {name: case}.
        repeats: How often each is run.
        label: For the progress bar.

    Returns:
        {name: its figures, one per repeat}.
    """
    figures: dict[str, list[float]] = {name: [] for name in cases}
    turns = [name for _ in range(repeats) for name in cases]
    for name in tqdm(turns, desc=label, unit="run", disable=None):
        figures[name].append(cases[name]())
    return figures


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """Return the median of the ratios of the repeats."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def milliseconds(times_s: list[float]) -> str:
    """Write the median of some times."""
    return f"{statistics.median(times_s) * 1e3:.1f} ms"


def run_python(*arguments: str, cwd: str | os.PathLike[str] = ".", **variables: str) -> str:
    """Run a Python command in a process of its own.

    Args:
        *arguments: Of this Python.
        cwd: The working directory.
        **variables: Of the environment, besides those of this process.

    Returns:
        What it printed on stdout.

    Raises:
        RuntimeError: If it fails.
    """
    process = subprocess.run(  # noqa: S603 - commands of the benchmarks
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {process.stderr.strip() or process.stdout}")
    return process.stdout


def command(*arguments: str, cwd: str | os.PathLike[str] = ".", **variables: str) -> Case:
    """Make a case of a Python command, as in `run_python`: its wall time in seconds."""
    return lambda: seconds(lambda: run_python(*arguments, cwd=cwd, **variables))
