"""The cost of recording gradients, at every step and at the default cadence."""

import itertools
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks import baselines
from benchmarks.baselines import RECORDERS
from benchmarks.measuring import Case, Figures, Result, interleave, milliseconds, ratio, seconds
from benchmarks.training import VARIANT, build_network, load_images
from vanishing.params.load import load
from vanishing.params.study import Study, Variant
from vanishing.recording.trace import Trace
from vanishing.seeds import generator
from vanishing.stats.fast import Accumulation, accumulate, pack, summarize_packed
from vanishing.training.optimizers import make_optimizer

REPEATS = 9
_STEPS = 10  # of each case and repeat; the median counts

DrawBatch = Callable[[], tuple[Tensor, Tensor]]


def endless_batches(study: Study) -> DrawBatch:
    """Return a function that draws one batch after the other, on the CPU."""
    images = load_images(study, torch.device("cpu"))
    order = torch.randperm(len(images.labels), generator=generator(0, "order"))
    batches = itertools.cycle(torch.split(order, study.train.batch_size))

    def draw() -> tuple[Tensor, Tensor]:
        chosen = next(batches)
        return images.inputs[chosen], images.labels[chosen]

    return draw


def median_step_s(step: Callable[[], None]) -> float:
    """Time a few steps and return the median."""
    return statistics.median(seconds(step) for _ in range(_STEPS))


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


class OurSteps:
    """Steps of the study's loop on one network: plain, or with more and more recorded.

    Attributes:
        network: Whose parameters the steps change.
    """

    def __init__(self, study: Study, variant: Variant, draw: DrawBatch) -> None:
        self.network = build_network(study, variant)
        self._draw = draw
        self._trace = Trace(self.network)
        self._optimizer = make_optimizer(self.network, study.train.of_one_seed())
        self._gradients = GradientStatistics()
        self._step = 0

    def plain(self) -> None:
        """Take a step and record nothing."""
        self._optimizer.observer = None
        self._take()

    def gradients(self) -> None:
        """Take a step and record every statistic and the exact histogram of every gradient."""
        self._optimizer.observer = self._gradients
        self._take()
        self._gradients.read()

    def trace(self) -> None:
        """Take a step and record the norms of weights and updates as well."""
        observer = self._optimizer.observer = self._trace.observer()
        loss = self._take()
        observer.close()
        self._trace.read(self._step, observer, loss)

    def _take(self) -> Tensor:
        self._step += 1
        images, labels = self._draw()
        loss = cross_entropy(self.network(images), labels)
        self._optimizer.step(loss)
        return loss


def measure() -> Figures:
    """Compare our recording steps with plain ones, and with those of other libraries."""
    study = load(Study)
    draw = endless_batches(study)
    ours = OurSteps(study, study.perceptrons[VARIANT], draw)
    results = _against_plain(ours, study.train.trace_every)
    results += [_against_library(library, study, draw, ours) for library in RECORDERS]
    return Figures(results, {})


def _against_plain(ours: OurSteps, trace_every: int) -> list[Result]:
    cases: dict[str, Case] = {
        "plain": partial(median_step_s, ours.plain),
        "gradients": partial(median_step_s, ours.gradients),
        "trace": partial(median_step_s, ours.trace),
    }
    times_s = interleave(cases, REPEATS, "recording")
    plain, gradients, trace = times_s.values()
    mixed = [
        (trace_s + (trace_every - 1) * plain_s) / trace_every
        for trace_s, plain_s in zip(trace, plain, strict=True)
    ]
    return [
        Result(
            "step that records every gradient statistic and exact histograms, over a plain step",
            ratio(gradients, plain),
            "<= 1.5",
            "<= 1.2",
            "×",
            f"{milliseconds(gradients)} over {milliseconds(plain)}; {milliseconds(trace)} with the"
            " norms of weights and updates",
        ),
        Result(
            f"the same at the default cadence, one step in {trace_every}, weights and updates too",
            ratio(mixed, plain),
            "<= 1.02",
            "<= 1.01",
            "×",
            "from the two medians above",
        ),
    ]


def _against_library(library: str, study: Study, draw: DrawBatch, ours: OurSteps) -> Result:
    network = baselines.build_network()
    optimizer = baselines.build_optimizer(network, study)
    with RECORDERS[library](network) as record:

        def step() -> None:
            baselines.take_step(network, optimizer, draw(), record)

        cases: dict[str, Case] = {
            library: partial(median_step_s, step),
            "ours": partial(median_step_s, ours.gradients),
        }
        times_s = interleave(cases, REPEATS, library)
    limited = library != "NumPy"
    return Result(
        f"{library} over ours, every step",
        ratio(times_s[library], times_s["ours"]),
        ">= 2" if limited else "",
        ">= 3" if limited else "",
        "×",
        f"{milliseconds(times_s[library])} over {milliseconds(times_s['ours'])}",
    )
