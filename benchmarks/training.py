"""A training epoch against the usual loop, and against the machine's fastest matrix products."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.baselines import UsualLoop
from benchmarks.measuring import Figures, Result, interleave, ratio, seconds
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.datasets.registry import DATASETS
from vanishing.networks import linear
from vanishing.networks.mlp import build
from vanishing.params.load import load
from vanishing.params.study import Study, Variant
from vanishing.paths import RAW
from vanishing.seeds import generator
from vanishing.training import loop

VARIANT = "sigmoid"  # the article's network
REPEATS = 12
_IMAGES = 15_000  # of an epoch in the comparison: short enough for both to meet the same spell
_PRODUCT_REPEATS = 15
_COPY_FLOATS = 50_000_000  # 200 MB, far beyond any cache

Shape = tuple[int, int]  # fan_in, fan_out


class Unrecorded:
    """The checkpoints and the progress of a training that keeps and shows nothing."""

    resumed = None

    def snapshot(self, epoch: int) -> None:
        """Do nothing."""

    def keep(self, state: loop.State) -> None:
        """Do nothing."""

    def step(self) -> None:
        """Do nothing."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Do nothing."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Do nothing."""


def load_images(study: Study, target: torch.device) -> Examples:
    """Load the training images."""
    return examples.load(RAW, "train", study.data).to(target)


def build_network(study: Study, variant: Variant) -> nn.Module:
    """Build a variant's network with seed 0."""
    dataset = DATASETS[study.data.dataset]
    return build(variant, dataset.inputs, dataset.classes, generator(0, "initialisation"))


def our_epoch_s(study: Study, images: Examples) -> float:
    """Time an epoch of the study's loop with its trace, evaluated on one image."""
    network = build_network(study, study.perceptrons[VARIANT])
    settings = study.train.of_one_seed().model_copy(
        update={"epochs": 1, "snapshots": (0,), "evaluation_size": 1}
    )
    data = {"train": images, "test": images.first(1)}

    def epoch() -> None:
        order = generator(0, "order")
        loop.train(network, settings, data, order, Unrecorded(), Unrecorded())

    return seconds(epoch)


def layer_shapes(network: nn.Module) -> list[Shape]:
    """Return the shape of each weight matrix."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [(layer.in_features, layer.out_features) for layer in layers]


def step_products(fan_in: int, fan_out: int, batch: int) -> list[tuple[Tensor, Tensor]]:
    """Return the factors of the three products of a layer's step: y, dL/dW and dL/dx."""
    x, w, g = torch.randn(batch, fan_in), torch.randn(fan_out, fan_in), torch.randn(batch, fan_out)
    return [(x, w.t()), (g.t(), x), (g, w)]


def step_flop(shapes: list[Shape], batch: int) -> int:
    """Count the operations of a step's products: the first layer needs no dL/dx."""
    products = [2 * batch * fan_in * fan_out for fan_in, fan_out in shapes]
    return 3 * sum(products) - products[0]


def products_s(shapes: list[Shape], batch: int) -> float:
    """Sum the times of a step's products alone, in cache, each by the faster of two libraries."""
    total_s = 0.0
    for index, (fan_in, fan_out) in enumerate(shapes):
        *others, x_gradient = step_products(fan_in, fan_out, batch)
        for a, b in [*others, *([x_gradient] if index else [])]:
            total_s += min(_median_s(multiply) for multiply in _multiplications(a, b))
    return total_s


def _multiplications(a: Tensor, b: Tensor) -> list[Callable[[], Any]]:
    out = torch.empty(a.shape[0], b.shape[1])
    libraries: list[Callable[[], Any]] = [lambda: torch.mm(a, b, out=out)]
    if linear._AVAILABLE:
        libraries.append(lambda: linear._product(a, b.t()))
    return libraries


def _median_s(work: Callable[[], Any]) -> float:
    for _ in range(3):
        work()
    return statistics.median(seconds(work) for _ in range(_PRODUCT_REPEATS))


def copied_bytes_per_s() -> float:
    """Return the bytes that a large copy reads and writes per second."""
    source = torch.randn(_COPY_FLOATS)
    target = torch.empty_like(source)
    return 2 * 4 * _COPY_FLOATS / _median_s(lambda: target.copy_(source))


def measure() -> Figures:
    """Compare epochs on the CPU, and with the products alone."""
    study = load(Study)
    cpu = torch.device("cpu")
    images = load_images(study, cpu).first(_IMAGES)
    usual_loop = UsualLoop(study, cpu, _IMAGES)
    shapes = layer_shapes(build_network(study, study.perceptrons[VARIANT]))
    batch = study.train.batch_size
    cases = {
        "usual": lambda: seconds(usual_loop.train_epoch),
        "ours": lambda: our_epoch_s(study, images),
        "products": lambda: products_s(shapes, batch),
    }
    times_s = interleave(cases, REPEATS, "epoch")
    achieved = _achieved(times_s, step_flop(shapes, batch), len(images.labels) // batch)
    return Figures([_compare(times_s), achieved], {})


def _compare(times_s: dict[str, list[float]]) -> Result:
    usual_s, ours_s = (statistics.median(times_s[name]) for name in ("usual", "ours"))
    return Result(
        "training epoch, usual loop over ours",
        ratio(times_s["usual"], times_s["ours"]),
        ">= 2.2",
        ">= 2.6",
        "×",
        f"{usual_s:.2f} s over {ours_s:.2f} s for {_IMAGES:,} images",
    )


def _achieved(times_s: dict[str, list[float]], flop: int, steps: int) -> Result:
    peak = flop / statistics.median(times_s["products"])
    achieved = flop * steps / statistics.median(times_s["ours"])
    return Result(
        "training epoch, achieved FLOP/s over GEMM peak",
        ratio([steps * step_s for step_s in times_s["products"]], times_s["ours"]),
        ">= 0.62",
        ">= 0.8",
        "×",
        f"{achieved / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s; a large copy moves"
        f" {copied_bytes_per_s() / 1e9:.0f} GB/s",
    )
