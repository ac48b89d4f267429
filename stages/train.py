"""Train one variant with one seed: `python -m stages train V S`.

In: params.yaml (`train`, `data`, `variants.V`), data/raw and the fingerprints of its code. Out:
models/V/seed-S with the weights at each snapshot, data/training/V/seed-S with run.json,
history.parquet, losses.parquet, trace.parquet and trace_histograms.parquet; and a journal. Of a
recorded run the tables are taken over: there are no weights (a text says so), no epochs and no
journal.
"""

import argparse
from functools import partial

from tqdm import tqdm

from vanishing import device, paths
from vanishing.datasets import examples
from vanishing.datasets.examples import SPLITS, Examples
from vanishing.errors import StudyError
from vanishing.networks import memory
from vanishing.networks.build import build
from vanishing.params.load import load
from vanishing.params.study import Recorded, Study
from vanishing.results import recorded, tables
from vanishing.results.run import Machine, RunRecord
from vanishing.seeds import generator
from vanishing.tracking.journal import Journal, Reporter
from vanishing.training import loop
from vanishing.training.checkpoint import Checkpointer, discard, training_digest
from vanishing.training.loop import Outcome
from vanishing.training.steps import starts


def main(argv: list[str]) -> None:
    """Train the network that the command line names.

    Raises:
        StudyError: If there are too few examples, or not enough memory.
    """
    parser = argparse.ArgumentParser(prog="python -m stages train", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    parser.add_argument("seed", help="an entry of `train.seeds` in params.yaml")
    arguments = parser.parse_args(argv)
    study = load(Study)
    name, seed = arguments.variant, study.seed(arguments.seed)
    variant = study.variant(name)
    if isinstance(variant, Recorded):
        recorded.write_record(name, seed, variant)
        recorded.write_tables(paths.TRAINING, name, variant, seed)
        print(f"{name} seed {seed}: taken over from {variant.recorded}, nothing is trained")
        return
    target = device.resolve(study.train.device)
    data = {split: examples.load(paths.RAW, split, study.data).to(target) for split in SPLITS}
    dataset = examples.describe(paths.RAW, study.data)
    training = study.training(name)
    count = len(data["train"].labels)
    batch_size = min(training.batch_size, count)
    if count < 2:  # noqa: PLR2004 - batch normalization needs a variance
        raise StudyError(f"{paths.RAW}: {count} training examples; there should be 2 or more")
    record = RunRecord(
        variant=name,
        seed=seed,
        network=variant,
        inputs=dataset.inputs,
        classes=dataset.classes,
        train=training,
        data=study.data,
        machine=Machine.model_validate(device.machine(target)),
    )
    ends = record.inputs, record.classes
    memory.check(f"variants.{name}", record.network, ends, batch_size, training)
    record.save()
    peak = partial(device.peak_memory_bytes, target)
    with Journal(name, seed, device.describe(target), peak) as journal:
        outcome = train(record, data, journal)
        tables.write("history", name, outcome.history, seed)
        tables.write("losses", name, outcome.losses, seed)
        tables.write_pieces("trace", name, seed, outcome.trace)
        tables.write_pieces("trace_histograms", name, seed, outcome.trace_histograms)
    discard(name, seed)


def train(record: RunRecord, data: dict[str, Examples], journal: Journal) -> Outcome:
    """Train the network of a record, save its snapshots and print how it ended.

    Args:
        record: The parameters.
        data: `train` and `test`, on the device to train on.
        journal: Hears of the progress.

    Returns:
        What the training loop recorded.
    """
    target = data["train"].labels.device
    initialisation = generator(record.seed, "initialisation")
    network = build(record.network, record.inputs, record.classes, initialisation).to(target)
    digest = training_digest(record, code(record.variant))
    checkpointer = Checkpointer(record, digest, network)
    epochs_done = 0
    label = f"{record.variant} seed {record.seed}"
    if checkpointer.resumed:
        epochs_done = checkpointer.resumed.epoch
        journal.resume(epochs_done, checkpointer.elapsed_s)
        print(f"{label}: resumed after epoch {epochs_done} of {record.train.epochs}")
    steps = len(starts(len(data["train"].labels), record.train.batch_size))
    with tqdm(
        total=steps * record.train.epochs,
        initial=steps * epochs_done,
        desc=label,
        unit="step",
        disable=None,
        leave=False,
        mininterval=0.5,
    ) as bar:
        order = generator(record.seed, "order")
        reporter = Reporter(journal, bar)
        outcome = loop.train(network, record.train, data, order, checkpointer, reporter)
    last = outcome.history[-1]
    print(
        f"{label}: {last['epoch']} epochs, train loss {last['train_loss']:.4f},"
        f" test accuracy {last['test_accuracy']:.4f}"
    )
    return outcome


def code(variant: str) -> str:
    """Return the fingerprints of the code that trains a variant."""
    fingerprints = paths.stage_fingerprint("train"), paths.variant_fingerprint(variant)
    return "".join(path.read_text("utf-8") for path in fingerprints)
