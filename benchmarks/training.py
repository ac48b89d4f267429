"""A training epoch against the usual loop, and against what the machine can do."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines import Usual
from benchmarks.measuring import Result, interleave, ratio, timed
from vanishing import device
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.files import RAW
from vanishing.networks import linear
from vanishing.networks.mlp import MLP, build
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.seeds import generator
from vanishing.training import loop as training

VARIANT = "sigmoid"  # the article's network
REPEATS = 12
_IMAGES = 15_000  # of an epoch in the comparison: short enough for both to meet the same spell
_GEMM_REPEATS = 15
_COPY_FLOATS = 50_000_000  # 200 MB, far beyond any cache


class Silent:
    """Shows nothing of the training loop, and keeps nothing."""

    resumed = None

    def snapshot(self, epoch: int) -> None:
        """Ignore."""

    def keep(self, state: training.State) -> None:
        """Ignore."""

    def step(self) -> None:
        """Ignore."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Ignore."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Ignore."""


def load(target: torch.device) -> Examples:
    """Load the training images."""
    return examples.load(RAW, "train", load(Study).data).to(target)


def ours(settings: Study, images: Examples) -> float:
    """Time an epoch of the study's loop at the default cadence of the trace, evaluation aside."""
    target = images.labels.device
    network = build(settings.variant(VARIANT), 784, 10, generator(0, "initialisation")).to(target)
    once = settings.train.model_copy(update={"epochs": 1, "snapshots": (0,), "evaluation_size": 1})
    few = {"train": images, "test": images.first(1)}

    def epoch() -> None:
        training.train(network, once, few, generator(0, "order"), Silent(), Silent())
        _wait(target)

    return timed(epoch)


def usual(loop: Usual) -> float:
    """Time an epoch of the usual loop, which waits for the device by itself."""
    return timed(loop.epoch)


def _wait(target: torch.device) -> None:
    if target.type == "cuda":
        torch.cuda.synchronize()


def shapes(network: MLP) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of each weight matrix."""
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    return [(m.in_features, m.out_features) for m in layers]


def products(fan_in: int, fan_out: int, batch: int) -> list[tuple[Tensor, Tensor]]:
    """Return the factors of the three products of a layer's step: y, dL/dW and dL/dx."""
    x, w, g = torch.randn(batch, fan_in), torch.randn(fan_out, fan_in), torch.randn(batch, fan_out)
    return [(x, w.t()), (g.t(), x), (g, w)]


def step_flop(layers: list[tuple[int, int]], batch: int) -> int:
    """Count the operations of a step's products: the first layer needs no dL/dx."""
    each = [2 * batch * fan_in * fan_out for fan_in, fan_out in layers]
    return 3 * sum(each) - each[0]


def gemm_seconds(layers: list[tuple[int, int]], batch: int) -> float:
    """Sum the times of a step's products alone, in cache, each by the faster of two libraries."""
    total = 0.0
    for index, (fan_in, fan_out) in enumerate(layers):
        for name, (a, b) in zip("ywx", products(fan_in, fan_out, batch), strict=True):
            if index or name != "x":
                total += min(_median(work) for work in _ways(a, b))
    return total


def _ways(a: Tensor, b: Tensor) -> list[Callable[[], Any]]:
    out = torch.empty(a.shape[0], b.shape[1])
    found: list[Callable[[], Any]] = [lambda: torch.mm(a, b, out=out)]
    if linear._AVAILABLE:
        found.append(lambda: linear._product(a, b.t()))
    return found


def _median(work: Callable[[], Any]) -> float:
    for _ in range(3):
        work()
    return statistics.median(timed(work) for _ in range(_GEMM_REPEATS))


def bandwidth() -> float:
    """Return what a large copy reads and writes per second, in bytes."""
    source = torch.randn(_COPY_FLOATS)
    target = torch.empty_like(source)
    return 2 * 4 * _COPY_FLOATS / _median(lambda: target.copy_(source))


def measure() -> list[Result]:
    """Measure the rows of the table."""
    settings = load(Study)
    target = device.resolve(settings.train.device)
    images, loop = load(target).first(_IMAGES), Usual(settings, target, _IMAGES)
    layers = shapes(build(settings.variant(VARIANT), 784, 10, generator(0, "initialisation")))
    batch = settings.train.batch_size
    on_gpu = target.type == "cuda"
    cases = {"usual": lambda: usual(loop), "ours": lambda: ours(settings, images)}
    if not on_gpu:
        cases["gemm"] = lambda: gemm_seconds(layers, batch)
    found = interleave(cases, REPEATS, "epoch")
    seconds = {name: statistics.median(each) for name, each in found.items()}
    epochs = Result(
        "training epoch, usual loop over ours" + (", same GPU" if on_gpu else ""),
        ratio(found["usual"], found["ours"]),
        ">= 40" if on_gpu else ">= 2.2",
        ">= 100" if on_gpu else ">= 2.6",
        "×",
        f"{seconds['usual']:.2f} s over {seconds['ours']:.2f} s for {_IMAGES:,} images",
    )
    if on_gpu:
        return [epochs]
    steps = len(images.labels) // batch
    flop = step_flop(layers, batch)
    peak, achieved = flop / seconds["gemm"], flop * steps / seconds["ours"]
    return [
        epochs,
        Result(
            "training epoch, achieved FLOP/s over GEMM peak",
            ratio([steps * s for s in found["gemm"]], found["ours"]),
            ">= 0.62",
            ">= 0.8",
            "×",
            f"{achieved / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s; a large copy moves"
            f" {bandwidth() / 1e9:.0f} GB/s",
        ),
    ]
