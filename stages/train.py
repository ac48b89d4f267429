"""Train one variant: `python -m stages.train V`.

In: params.yaml (`train`, `data`, `variants.V`) and data/raw. Out: models/V with run.json,
history.parquet, losses.parquet, trace.parquet, trace_histograms.parquet and the weights at each
snapshot; and a journal.
"""

import argparse
import math
import sys
from functools import partial
from typing import Any

from safetensors.torch import save_file
from tqdm import tqdm

from stages.core import device, examples, idx, run, tables, training
from stages.core.errors import run_command
from stages.core.examples import Examples
from stages.core.files import RAW, replacing
from stages.core.journal import Journal, Reporter
from stages.core.network import build
from stages.core.params import section
from stages.core.params.study import Study
from stages.core.run import Run
from stages.core.seeds import generator
from stages.core.tables import Columns
from stages.core.training import Outcome


def main(argv: list[str]) -> None:
    """Train the variant that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m stages.train", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    settings = section.load(Study)
    variant = settings.variant(name)
    target = device.resolve(settings.train.device)
    data = {split: examples.load(RAW, split, settings.data).to(target) for split in idx.FILES}
    description = Run(
        variant=name,
        network=variant,
        inputs=data["train"].images.shape[1],
        classes=idx.CLASSES,
        train=settings.train,
        data=settings.data,
    )
    description.save()
    history: list[dict[str, Any]] = []
    losses: list[dict[str, Any]] = []
    trace: list[Columns] = []
    trace_histograms: list[Columns] = []
    seeds = settings.train.seeds
    peak = partial(device.peak_memory_bytes, target)
    with Journal(name, seeds, device.describe(target), peak) as journal:
        for seed in seeds:
            outcome = train_seed(description, seed, data, journal)
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


def _of(variant: str, seed: int, columns: Columns) -> Columns:
    count = len(columns["step"])
    return {"variant": [variant] * count, "seed": [seed] * count, **columns}


def train_seed(description: Run, seed: int, data: dict[str, Examples], journal: Journal) -> Outcome:
    """Train one seed's network, save its snapshots and say how it ended.

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

    def save(epoch: int) -> None:
        with replacing(run.snapshot_path(description.variant, seed, epoch)) as path:
            save_file(network.state_dict(), path)

    label = f"{description.variant} seed {seed}"
    steps = math.ceil(len(data["train"].labels) / settings.batch_size) * settings.epochs
    order = generator(seed, "order")
    with tqdm(total=steps, desc=label, unit="step", disable=None, mininterval=0.5) as bar:
        outcome = training.train(network, settings, data, order, save, Reporter(journal, seed, bar))
    last = outcome.history[-1]
    print(
        f"{label}: {last['epoch']} epochs, train loss {last['train_loss']:.4f},"
        f" test accuracy {last['test_accuracy']:.4f}"
    )
    return outcome


if __name__ == "__main__":
    sys.exit(run_command(main))
