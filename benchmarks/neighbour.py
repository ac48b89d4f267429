"""A training step beside busy processes of the lowest priority, over one on a quiet machine.

OpenMP reads OMP_WAIT_POLICY once, when torch is imported. So each way of training has a process of
its own, which takes steps on request: `python -m benchmarks.neighbour WAY` is such a process. It
reads a number of steps per line of stdin, and answers with a line of JSON.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import psutil
from torch import nn

from benchmarks import baselines
from benchmarks.measuring import Case, Figures, Result, interleave, milliseconds, ratio, seconds
from benchmarks.recording import OurSteps, endless_batches
from benchmarks.study import ROOT
from benchmarks.training import VARIANT
from vanishing.datasets.registry import DATASETS
from vanishing.params.load import load
from vanishing.params.study import Study

NEIGHBOURS = {0: "on a quiet machine", 1: "beside one busy process", 2: "beside two busy processes"}
REPEATS = 7
STEPS = 15  # of a repeat; their mean counts, since few steps wait and these for long
_WARM_UP = 5
_OBSERVED_S = 2.0  # in which the load of the machine is measured
_SETTLING_S = 0.3  # in which a neighbour has lowered its priority
_LOWEST_PRIORITY = 19
_POLICY = "OMP_WAIT_POLICY"
BUSY = f"""
import os, sys
os.nice({_LOWEST_PRIORITY})
while os.getppid() == int(sys.argv[1]):  # it ends with the benchmark
    for _ in range(1_000_000):
        pass
"""

Step = Callable[[], None]


class Way(NamedTuple):
    """A way of training.

    Attributes:
        code: A key of CODE: whose training step it is.
        policy: Of OpenMP's threads that wait; None for OpenMP's default.
    """

    code: str
    policy: str | None


WAYS = {
    "ours": Way("ours", "passive"),
    "ours by default": Way("ours", None),
    "usual": Way("usual", None),
}


def measure() -> Figures:
    """Time every way beside every number of neighbours, in turn."""
    others = psutil.cpu_percent(_OBSERVED_S)
    with ExitStack() as stack:
        trainers = {name: stack.enter_context(trainer(way)) for name, way in WAYS.items()}
        for process in trainers.values():
            process.take(_WARM_UP)
        cases: dict[str, Case] = {
            case(name, count): partial(step_beside, count, process)
            for count in NEIGHBOURS
            for name, process in trainers.items()
        }
        times_s = interleave(cases, REPEATS, "neighbour")
        differing = differences(trainers["ours"].take(1), trainers["ours by default"].take(1))
    results = [result for count in NEIGHBOURS if count for result in _slowdowns(times_s, count)]
    return Figures([*results, _cost(times_s, others), _equality(differing)], {})


def case(way: str, count: int) -> str:
    """Return the name of a case: a way, and a number of neighbours."""
    return f"{way} {NEIGHBOURS[count]}"


def _slowdowns(times_s: dict[str, list[float]], count: int) -> list[Result]:
    """Return the rows of our step and of the usual one beside `count` neighbours."""
    results = []
    for way, name, aim in (("ours", "ours", "<= 1.25"), ("usual", "the usual loop", "")):
        busy, quiet = times_s[case(way, count)], times_s[case(way, 0)]
        detail = f"{milliseconds(busy)} over {milliseconds(quiet)}"
        if way == "ours":
            default = milliseconds(times_s[case("ours by default", count)])
            detail += f"; {default} with OpenMP's default"
        what = f"step {NEIGHBOURS[count]}, over a step {NEIGHBOURS[0]}: {name}"
        results.append(Result(what, ratio(busy, quiet), "", aim, "×", detail))
    return results


def _cost(times_s: dict[str, list[float]], others: float) -> Result:
    passive, default = times_s[case("ours", 0)], times_s[case("ours by default", 0)]
    return Result(
        f"step with {_POLICY}=passive over one with OpenMP's default, {NEIGHBOURS[0]}",
        ratio(passive, default),
        "",
        "<= 1.02",
        "×",
        f"{milliseconds(passive)} over {milliseconds(default)}; other programs took {others:.0f} %"
        " of the processors before",
    )


def _equality(differing: int) -> Result:
    steps = _WARM_UP + REPEATS * len(NEIGHBOURS) * STEPS + 1
    return Result(
        f"weights and biases that differ between the two after {steps} steps",
        differing,
        "<= 0",
        "",
        "",
        "compared byte by byte; the steps were taken beside the same neighbours",
    )


class Answer(NamedTuple):
    """What a trainer answers.

    Attributes:
        step_s: Mean time of a step, in seconds.
        weights: {parameter: SHA-256 of its bytes after the steps}.
    """

    step_s: float
    weights: dict[str, str]


def differences(first: Answer, second: Answer) -> int:
    """Count the parameters whose bytes differ."""
    return sum(digest != second.weights[parameter] for parameter, digest in first.weights.items())


class Trainer:
    """A process that takes training steps on request."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self, steps: int) -> Answer:
        """Let it take some steps.

        Returns:
            Its answer.

        Raises:
            RuntimeError: If it has ended.
        """
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - pipes
        print(steps, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a training process has ended (see above)")
        return Answer(**json.loads(line))


@contextmanager
def trainer(way: Way) -> Iterator[Trainer]:
    """Start a process that trains in the working directory's study, and end it afterwards."""
    command = [sys.executable, "-m", "benchmarks.neighbour", way.code]
    with subprocess.Popen(  # noqa: S603 - this Python and this module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=trainer_environment(way),
    ) as process:  # closes stdin at the end, and then the process ends
        yield Trainer(process)


def trainer_environment(way: Way) -> dict[str, str]:
    """Return the environment of a process that trains in this way."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop(_POLICY, None)
    return environment | ({_POLICY: way.policy} if way.policy else {})


@contextmanager
def busy_neighbours(count: int) -> Iterator[list[int]]:
    """Keep `count` processes of the lowest priority busy; yield their ids, and end them."""
    command = [sys.executable, "-c", BUSY, str(os.getpid())]
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(command))  # noqa: S603 - this Python
            stack.callback(process.kill)
            processes.append(process.pid)
        if count:
            time.sleep(_SETTLING_S)
        yield processes


def step_beside(count: int, process: Trainer) -> float:
    """Return the mean time of a step beside `count` neighbours, in seconds."""
    with busy_neighbours(count):
        return process.take(STEPS).step_s


def our_step(study: Study) -> tuple[nn.Module, Step]:
    """Return VARIANT's network, and the study's training step."""
    ours = OurSteps(study, study.perceptrons[VARIANT], endless_batches(study))
    return ours.network, ours.plain


def usual_step(study: Study) -> tuple[nn.Module, Step]:
    """Return the same network as its readers build it, and an eager step."""
    variant, draw = study.perceptrons[VARIANT], endless_batches(study)
    pixels = DATASETS[study.data.dataset].inputs
    network = baselines.build_network(variant.depth, variant.width, pixels)
    optimizer = baselines.build_optimizer(network, study)
    return network, lambda: baselines.take_step(network, optimizer, draw())


CODE = {"ours": our_step, "usual": usual_step}


def serve(code: str) -> None:
    """Take as many steps as each line of stdin says, and answer on stdout, until stdin ends."""
    network, step = CODE[code](load(Study))

    def take(steps: int) -> None:
        for _ in range(steps):
            step()

    for line in sys.stdin:
        steps = int(line)
        step_s = seconds(partial(take, steps)) / steps
        print(json.dumps(Answer(step_s, digests(network))._asdict()), flush=True)


def digests(network: nn.Module) -> dict[str, str]:
    """Return {parameter: SHA-256 of its bytes}."""
    return {
        name: hashlib.sha256(parameter.detach().numpy().tobytes()).hexdigest()
        for name, parameter in network.named_parameters()
    }


if __name__ == "__main__":
    serve(sys.argv[1])
