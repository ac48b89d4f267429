"""What it costs to record gradients, at every step and at the default cadence."""

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks import baselines, training
from benchmarks.baselines import RECORDERS
from benchmarks.measuring import Case, Result, interleave, ratio
from vanishing.networks.mlp import build
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.recording.trace import Trace
from vanishing.seeds import generator
from vanishing.stats.fast import Accumulation, accumulate, pack, summarize_packed
from vanishing.training.sgd import SGDInBackward

REPEATS = 9
_STEPS = 10  # of each case and repeat; the median counts

Batches = Callable[[], tuple[Tensor, Tensor]]


def endless(settings: Study) -> Batches:
    """Return a function that draws one batch after the other."""
    images = training.load(torch.device("cpu"))
    order = torch.randperm(len(images.labels), generator=generator(0, "order"))
    chosen = itertools.cycle(torch.split(order, settings.train.batch_size))

    def draw() -> tuple[Tensor, Tensor]:
        at = next(chosen)
        return images.images[at], images.labels[at]

    return draw


def median_step(step: Callable[[], None]) -> float:
    """Time a few steps and return the median."""
    found = []
    for _ in range(_STEPS):
        begun = time.perf_counter()
        step()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


class GradientStatistics:
    """Takes the statistics of every gradient before its step, without the norms of a trace."""

    def __init__(self) -> None:
        self._accumulations: list[Accumulation] = []

    def before(self, _parameter: Tensor, gradient: Tensor) -> None:
        """Add up and count the gradient."""
        self._accumulations.append(accumulate(gradient))

    def after(self, parameter: Tensor) -> None:
        """Do nothing."""

    def read(self) -> None:
        """Compute the statistics of all gradients of the step."""
        summarize_packed(pack(self._accumulations).numpy())
        self._accumulations.clear()


class Ours:
    """The study's step: plain, with the gradients' statistics, or with all that the trace has."""

    def __init__(self, settings: Study, draw: Batches, depth: int = 5, width: int = 1000) -> None:
        variant = settings.variant(training.VARIANT).model_copy(
            update={"depth": depth, "width": width}
        )
        network = build(variant, 784, 10, generator(0, "initialisation"))
        self.network, self._draw = network, draw
        self._trace = Trace(network)
        self._optimizer = SGDInBackward(
            network, settings.train.learning_rate, settings.train.momentum
        )
        self._gradients = GradientStatistics()
        self._step = 0

    def plain(self) -> None:
        """Take a step and record nothing."""
        self._optimizer.observer = None
        self._take()

    def gradients(self) -> None:
        """Record every statistic and the exact histogram of every gradient."""
        self._optimizer.observer = self._gradients
        self._take()
        self._gradients.read()

    def trace(self) -> None:
        """Record that, and the norms of the weights and of the step taken."""
        self._optimizer.observer = self._trace
        loss = self._take()
        self._trace.read(self._step, loss)

    def _take(self) -> Tensor:
        self._step += 1
        images, labels = self._draw()
        loss = cross_entropy(self.network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss


def measure() -> list[Result]:
    """Measure the rows of the table."""
    settings = load(Study)
    draw = endless(settings)
    ours = Ours(settings, draw)
    cases: dict[str, Case] = {
        "plain": lambda: median_step(ours.plain),
        "gradients": lambda: median_step(ours.gradients),
        "trace": lambda: median_step(ours.trace),
    }
    found = interleave(cases, REPEATS, "recording")
    every = settings.train.trace_every
    mixed = [
        (t + (every - 1) * p) / every for t, p in zip(found["trace"], found["plain"], strict=True)
    ]
    rows = [
        Result(
            "step that records every gradient statistic and exact histograms, over a plain step",
            ratio(found["gradients"], found["plain"]),
            "<= 1.5",
            "<= 1.2",
            "×",
            f"{_ms(found['gradients'])} over {_ms(found['plain'])}; {_ms(found['trace'])} with the"
            " norms of weights and updates",
        ),
        Result(
            f"the same at the default cadence, one step in {every}, weights and updates too",
            ratio(mixed, found["plain"]),
            "<= 1.02",
            "<= 1.01",
            "×",
            "from the two medians above",
        ),
    ]
    for name, recorder in RECORDERS.items():
        model = baselines.network()
        optimizer = baselines.optimizer_of(model, settings)
        with recorder(model) as record:

            def theirs() -> None:
                baselines.step(model, optimizer, draw(), record)  # noqa: B023 - called in the loop

            pair = {
                name: lambda: median_step(theirs),
                "ours": lambda: median_step(ours.gradients),
            }
            against = interleave(pair, REPEATS, name)
        rows.append(
            Result(
                f"{name} over ours, every step",
                ratio(against[name], against["ours"]),
                "" if name == "NumPy" else ">= 2",
                "" if name == "NumPy" else ">= 3",
                "×",
                f"{_ms(against[name])} over {_ms(against['ours'])}",
            )
        )
    return rows


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.1f} ms"
