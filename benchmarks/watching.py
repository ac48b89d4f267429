"""The cost of a watched training step, ours and other tools', side by side on three networks.

A tool that records at every step is timed as it is. At the default cadence its cost is put together
from that step and from one between two records, in a loop of its own.
"""

import contextlib
import io
import statistics
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from benchmarks import networks
from benchmarks.measuring import Case, Figures, Result, Row, interleave, milliseconds, seconds
from benchmarks.networks import Batch
from benchmarks.watchers import OURS, WATCHERS
from benchmarks.watchers.ours import Ours
from benchmarks.watchers.watcher import Watcher
from vanishing.stats.intervals import interval

EVERY = 50  # the default of `vanishing.watch`
NETWORKS = {
    "the study's network": networks.study_mlp,
    "ResNet-18": networks.resnet18,
    "a transformer": networks.transformer,
}
REPEATS = 9
_REPEATS_BETWEEN = 30  # of one step each: they cost next to nothing, which needs more repeats
_TURN_S = 0.3  # of each turn, for one step or as many as fit; their median counts
_WARM_UP = {1: 2, EVERY: 11}  # steps: at its cadence ours records the first ten
_FLUSHES = 5
_FLUSH_S = 10.0  # ours writes its tables so often
_PLAIN = "plain"
_TOOLS: dict[str, type[Watcher]] = {_PLAIN: Watcher, **WATCHERS}

Build = Callable[[], tuple[nn.Module, Batch]]
Times = dict[str, list[float]]  # {tool: seconds of a step}


class Loop:
    """An ordinary training loop that a tool watches; `Watcher` itself is none."""

    def __init__(self, build: Build, tool: type[Watcher], folder: Path, every: int) -> None:
        torch.manual_seed(0)
        self._model, self._batch = build()
        self._optimizer = SGD(self._model.parameters(), lr=1e-3, momentum=0.9)
        self.watcher = tool(self._model, [self._optimizer], folder, every)

    def step(self) -> None:
        """Take a step."""
        loss = cross_entropy(self._model(self._batch.inputs), self._batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.watcher.before_step(self._model)
        self._optimizer.step()
        self.watcher.after_step(loss.detach())
        self._optimizer.zero_grad()

    def step_s(self) -> float:
        """Time a step."""
        return seconds(self.step)

    def median_step_s(self) -> float:
        """Time the steps of a turn and return the median."""
        times_s = [self.step_s()]
        while sum(times_s) + times_s[-1] <= _TURN_S:
            times_s.append(self.step_s())
        return statistics.median(times_s)


class Timing(NamedTuple):
    """Times of one network.

    Attributes:
        every_step: Of steps that are all recorded, medians of turns.
        between: Of single steps between two records.
        flush_s: How long ours takes to write what it recorded in ten seconds.
        crashed: The tools that ended the training with an error.
    """

    every_step: Times
    between: Times
    flush_s: float
    crashed: list[str]


def time_network(build: Build, repeats: int, label: str) -> Timing:
    """Time a plain loop and all tools in turn, at every step and between two records."""
    with loops(build, 1) as (watched, crashed):
        turns: dict[str, Case] = {name: loop.median_step_s for name, loop in watched.items()}
        every_step = interleave(turns, repeats, label)
        ours = watched[OURS].watcher
        assert isinstance(ours, Ours)  # noqa: S101
        flush_s = statistics.median(_flush_s(watched[OURS], ours) for _ in range(_FLUSHES))
    with loops(build, EVERY) as (watched, _):
        steps: dict[str, Case] = {name: loop.step_s for name, loop in watched.items()}
        between = interleave(steps, _REPEATS_BETWEEN, f"{label}, one step in {EVERY}")
    return Timing(every_step, between, flush_s, crashed)


def _flush_s(loop: Loop, ours: Ours) -> float:
    loop.step()
    return seconds(ours.flush)


@contextlib.contextmanager
def loops(build: Build, every: int) -> Iterator[tuple[dict[str, Loop], list[str]]]:
    """Begin a loop per tool, and take their first steps.

    Yields:
        {tool: its loop}, and the tools that ended the training with an error.
    """
    crashed: list[str] = []
    watched: dict[str, Loop] = {}
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory()))
        stack.enter_context(contextlib.chdir(root))  # NeuralDBG writes there
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for name, tool in _TOOLS.items():
            folder = root / name
            folder.mkdir()
            loop = Loop(build, tool, folder, every)
            watcher = ExitStack()
            watcher.enter_context(loop.watcher)
            try:
                for _ in range(_WARM_UP[every]):
                    loop.step()
            except Exception:  # noqa: BLE001 - whatever a tool raises
                watcher.close()
                crashed.append(name)
                continue
            stack.enter_context(watcher)
            watched[name] = loop
        yield watched, crashed


def measure() -> Figures:
    """Compare every tool with a plain loop on each network."""
    results: list[Result] = []
    rows: list[Row] = []
    for name, build in NETWORKS.items():
        timing = time_network(build, REPEATS, name)
        results += summarise(name, timing)
        rows += [_row(name, tool, timing) for tool in WATCHERS]
    return Figures(results, {"watching": rows})


def over_plain(times: Times, tool: str) -> NDArray[np.float64]:
    """Return the ratio of each repeat."""
    ratios: NDArray[np.float64] = np.array(times[tool]) / np.array(times[_PLAIN])
    return ratios


def at_cadence(timing: Timing, tool: str) -> NDArray[np.float64]:
    """Return the ratios of a mean step where one in `EVERY` is recorded, one per step between."""
    recorded = np.median(over_plain(timing.every_step, tool))
    mixed: NDArray[np.float64] = recorded + (EVERY - 1) * over_plain(timing.between, tool)
    return mixed / EVERY


def summarise(network: str, timing: Timing) -> list[Result]:
    """Hold ours against the limits."""
    every_step, cadence = over_plain(timing.every_step, OURS), at_cadence(timing, OURS)
    steps = [milliseconds(timing.every_step[name]) for name in (OURS, _PLAIN)]
    return [
        Result(
            f"{network}: step that `vanishing.watch` traces, over a plain step",
            float(np.median(every_step)),
            "<= 1.5",
            "<= 1.2",
            "×",
            f"{steps[0]} over {steps[1]}; {_write_interval(every_step)}",
        ),
        Result(
            f"{network}: the same at the default cadence, one step in {EVERY}",
            float(np.median(cadence)) + timing.flush_s / _FLUSH_S,
            "<= 1.02",
            "<= 1.01",
            "×",
            f"{_write_interval(cadence)} and {timing.flush_s * 1e3:.0f} ms every"
            f" {_FLUSH_S:.0f} s to write the tables",
        ),
    ]


def _row(network: str, tool: str, timing: Timing) -> Row:
    row: Row = {"network": network, "tool": tool}
    if tool in timing.crashed:
        return row | {"every step": "crash", f"one step in {EVERY}": "crash"}
    every_step, cadence = over_plain(timing.every_step, tool), at_cadence(timing, tool)
    return row | {
        "every step": f"{np.median(every_step):.2f}",
        "its interval": _write_interval(every_step),
        f"one step in {EVERY}": f"{np.median(cadence):.3f}",
        "its interval ": _write_interval(cadence),
    }


def _write_interval(ratios: NDArray[np.float64]) -> str:
    """Write the 95 % interval of the median over repeats."""
    low, high = interval(ratios, partial(np.median, axis=-1))
    return "" if low is None else f"{low:.3f} to {high:.3f}"
