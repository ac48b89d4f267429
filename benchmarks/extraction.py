"""The extract stage, whole, against the forward and backward passes that it cannot do without."""

import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.measuring import Result, interleave, ratio, timed
from benchmarks.training import VARIANT
from stages import extract
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.files import MODELS, RAW
from vanishing.networks.mlp import build
from vanishing.params.load import load
from vanishing.params.extract import Measured
from vanishing.recording.snapshots import load_network
from vanishing.results import run
from vanishing.seeds import generator

REPEATS = 3


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Work in a folder with the study's data and weights, and leave its statistics as they are."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("params.yaml", str(MODELS), str(RAW)):
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(name).resolve())
        with contextlib.chdir(folder):
            yield


def passes(settings: Measured) -> float:
    """Time the passes alone: networks and images are ready, nothing is kept."""
    description = run.load(VARIANT)
    test = examples.load(RAW, "test", description.data)
    probe, few = (
        test.first(n) for n in (settings.extract.probe_size, settings.extract.init_probe_size)
    )
    batch = settings.extract.batch_size
    seconds = 0.0
    for seed in description.train.seeds:
        for epoch in description.train.snapshots:
            network: nn.Module = load_network(description, epoch)
            seconds += timed(lambda: once(network, probe, batch))  # noqa: B023 - called at once
    variant = settings.variant(VARIANT)
    fresh = [(variant.depth, settings.extract.init_seeds)]
    fresh += [(d, settings.extract.sweep_seeds) for d in settings.extract.sweep_depths]
    fresh = [fresh[0], *(each for each in fresh[1:] if each[0] != variant.depth)]
    for depth, seeds in fresh:
        for seed in range(seeds):
            network = build(
                variant.model_copy(update={"depth": depth}),
                description.inputs,
                description.classes,
                generator(seed, "initialisation"),
            )
            seconds += timed(lambda: once(network, few, batch))  # noqa: B023
    return seconds


def once(network: nn.Module, probe: Examples, batch: int) -> None:
    """Go forward and backward over the probe."""
    for start in range(0, len(probe.labels), batch):
        chunk = slice(start, start + batch)
        network.zero_grad()
        loss = cross_entropy(network(probe.images[chunk]), probe.labels[chunk], reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]


def measure() -> list[Result]:
    """Measure the row of the table."""
    settings = load(Measured)
    torch.manual_seed(0)
    cases = {
        "stage": lambda: timed(lambda: extract.main([VARIANT])),
        "passes": lambda: passes(settings),
    }
    with scratch():
        found = interleave(cases, REPEATS, "extract")
    stage, plain = (statistics.median(found[name]) for name in cases)
    return [
        Result(
            "extract, whole, over the plain forwards and backwards that it needs",
            ratio(found["stage"], found["passes"]),
            "<= 3",
            "<= 1.5",
            "×",
            f"{stage:.1f} s over {plain:.1f} s, for {VARIANT}",
        )
    ]
