"""Train one variant: `python -m stages.train V`.

In: params.yaml (`train`, `data`, `variants.V`) and data/raw. Out: models/V with run.json,
history.parquet, losses.parquet, trace.parquet, trace_histograms.parquet and the weights at each
snapshot; and a journal.
"""

import argparse
import sys
from functools import partial
from typing import Any

from tqdm import tqdm

from vanishing import device
from vanishing.datasets import examples, idx
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.files import RAW
from vanishing.networks import memory
from vanishing.networks.mlp import build
from vanishing.params import base as section
from vanishing.params.study import Study
from vanishing.pipeline.guard import run_stage
from vanishing.results import run
from vanishing.results import schemas as tables
from vanishing.results.run import Run
from vanishing.results.schemas import Columns
from vanishing.seeds import generator
from vanishing.tracking.journal import Journal, Reporter
from vanishing.training import checkpoint as resume
from vanishing.training import loop as training
from vanishing.training.checkpoint import Keeper
from vanishing.training.loop import Outcome


def main(argv: list[str]) -> None:
    """Train the variant that the command line names.

    Raises:
        StudyError: If there are too few examples, or not enough memory.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    settings = section.load(Study)
    variant = settings.variant(name)
    target = device.resolve(settings.train.device)
    data = {split: examples.load(RAW, split, settings.data).to(target) for split in idx.FILES}
    if len(data["train"].labels) < 2:  # noqa: PLR2004 - batch normalization needs a variance
        raise StudyError(f"{RAW}: 1 training example or none; there should be 2 or more")
    description = Run(
        variant=name,
        network=variant,
        inputs=data["train"].images.shape[1],
        classes=idx.CLASSES,
        train=settings.train,
        data=settings.data,
    )
    memory.check(
        f"variants.{name}",
        memory.needed_bytes(
            variant,
            description.inputs,
            idx.CLASSES,
            min(settings.train.batch_size, len(data["train"].labels)),
        ),
    )
    description.save()
    history: list[dict[str, Any]] = []
    losses: list[dict[str, Any]] = []
    trace: list[Columns] = []
    trace_histograms: list[Columns] = []
    seeds = settings.train.seeds
    peak = partial(device.peak_memory_bytes, target)
    key = resume.identity(description, target)
    with Journal(name, seeds, device.describe(target), peak) as journal:
        for seed in seeds:
            outcome = train_seed(description, seed, data, journal, key)
            history += [{"variant": name, "seed": seed, **row} for row in outcome.history]
            losses += [{"variant": name, "seed": seed, **row} for row in outcome.losses]
            trace.append(_of(name, seed, outcome.trace))
            trace_histograms.append(_of(name, seed, outcome.trace_histograms))
        tables.write(run.history_path(name), history, tables.HISTORY)
        tables.write(run.losses_path(name), losses, tables.LOSSES)
        tables.write_columns(run.trace_path(name), trace, tables.TRACE)
        tables.write_columns(
            run.trace_histograms_path(name), trace_histograms, tables.TRACE_HISTOGRAMS
        )
    resume.forget(name)


def _of(variant: str, seed: int, columns: Columns) -> Columns:
    count = len(columns["step"])
    return {"variant": [variant] * count, "seed": [seed] * count, **columns}


def train_seed(
    description: Run, seed: int, data: dict[str, Examples], journal: Journal, key: str
) -> Outcome:
    """Train one seed's network, save its snapshots and say how it ended.

    Args:
        description: What to train.
        seed: Of the initialisation and the order.
        data: `train` and `test`.
        journal: Where progress goes.
        key: What `resume.identity` said; a training with the same that was cut off is gone on with.

    Returns:
        What the training loop recorded.
    """
    settings = description.train
    network = build(
        description.network,
        description.inputs,
        description.classes,
        generator(seed, "initialisation"),
    ).to(data["train"].images.device)
    label = f"{description.variant} seed {seed}"
    keeper = Keeper(description, seed, key, network)
    done = 0
    if keeper.resumed:
        done = keeper.resumed.epoch
        journal.resume(done, keeper.elapsed_s)
        print(f"{label}: goes on after epoch {done} of {settings.epochs}")
    steps = len(training.starts(len(data["train"].labels), settings.batch_size))
    order = generator(seed, "order")
    with tqdm(
        total=steps * settings.epochs,
        initial=steps * done,
        desc=label,
        unit="step",
        disable=None,
        mininterval=0.5,
    ) as bar:
        reporter = Reporter(journal, seed, bar)
        outcome = training.train(network, settings, data, order, keeper, reporter)
    last = outcome.history[-1]
    print(
        f"{label}: {last['epoch']} epochs, train loss {last['train_loss']:.4f},"
        f" test accuracy {last['test_accuracy']:.4f}"
    )
    return outcome


if __name__ == "__main__":
    sys.exit(run_stage(main))
