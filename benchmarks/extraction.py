"""The stages extract and initialise, against the forward and backward passes that they need."""

import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.measuring import Figures, Result, interleave, ratio, seconds
from benchmarks.training import VARIANT
from stages import extract, initialise
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.networks.mlp import build
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.paths import MODELS, PARAMS, RAW, TRAINING
from vanishing.recording.snapshots import load_network
from vanishing.results import run
from vanishing.seeds import generator

REPEATS = 3


@contextlib.contextmanager
def scratch_study() -> Iterator[None]:
    """Work in a folder with links to the study's data and weights; its statistics stay as is."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (PARAMS, MODELS, TRAINING, RAW):
            link = Path(folder) / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        with contextlib.chdir(folder):
            yield


def passes_s(study: Measured) -> float:
    """Time the passes alone: networks and images are ready, nothing is kept."""
    batch_size = study.extract.batch_size
    return sum(
        seconds(partial(pass_through, network, probe, batch_size))
        for network, probe in probed_networks(study)
    )


def probed_networks(study: Measured) -> Iterator[tuple[nn.Module, Examples]]:
    """Yield every network that the stages probe for VARIANT and the first seed, and its probe."""
    settings, variant = study.extract, study.perceptrons[VARIANT]
    record = run.load(VARIANT, study.train.seeds[0])
    test = examples.load(RAW, "test", record.data)
    for epoch in record.train.snapshots:
        yield load_network(record, epoch), test.first(settings.probe_size)
    seeds = dict.fromkeys(settings.sweep_depths, settings.sweep_seeds)
    seeds[variant.depth] = settings.init_seeds
    for depth, count in seeds.items():
        for seed in range(count):
            order = generator(seed, "initialisation")
            network = build(variant.at_depth(depth), record.inputs, record.classes, order)
            yield network, test.first(settings.init_probe_size)


def pass_through(network: nn.Module, probe: Examples, batch_size: int) -> None:
    """Run the probe forward and backward once."""
    for start in range(0, len(probe.labels), batch_size):
        chunk = slice(start, start + batch_size)
        network.zero_grad()
        loss = cross_entropy(network(probe.inputs[chunk]), probe.labels[chunk], reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]


def run_stages(seed: int) -> None:
    """Run the two stages for VARIANT."""
    extract.main([VARIANT, str(seed)])
    initialise.main([VARIANT])


def measure() -> Figures:
    """Compare the stages with their passes."""
    study = load(Measured)
    torch.manual_seed(0)
    cases = {
        "stages": lambda: seconds(partial(run_stages, study.train.seeds[0])),
        "passes": lambda: passes_s(study),
    }
    with scratch_study():
        times_s = interleave(cases, REPEATS, "extract")
    stages_s, plain_s = (statistics.median(times_s[name]) for name in cases)
    result = Result(
        "extract and initialise, whole, over the plain forwards and backwards that they need",
        ratio(times_s["stages"], times_s["passes"]),
        "<= 3",
        "<= 1.5",
        "×",
        f"{stages_s:.1f} s over {plain_s:.1f} s, for {VARIANT}",
    )
    return Figures([result], {})
