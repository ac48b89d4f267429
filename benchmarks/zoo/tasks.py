"""A case of the zoo as a task for `vanishing.find_remedy`, with its own loop."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from benchmarks.zoo import training
from benchmarks.zoo.cases import Case
from benchmarks.zoo.data import Dataset
from vanishing.remedies.task import Split, Task, batches

SEED = 0  # of a defect and of a pretraining


def task_of(case: Case) -> Task:
    """Return the training of a case: network, examples, loss, optimizer and loop as it has them."""
    examples = training.examples_of(case, SEED)
    return Task(
        partial(training.build, case, examples, SEED),
        Split(*examples.train),
        Split(*examples.test),
        training.LOSSES[case.loss],
        partial(_make_optimizer, case),
        partial(_loop, case, examples),
        training.BATCH,
        training.STEPS,
    )


def _make_optimizer(case: Case, parameters: Sequence[nn.Parameter]) -> Optimizer:
    return training.OPTIMIZERS[case.optimizer](parameters, **case.settings)


def _loop(
    case: Case, examples: Dataset, network: nn.Module, optimizer: Optimizer
) -> Iterator[Tensor]:
    """Train as the zoo does: warm-up and clipping, unreset gradients, sorted examples."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for step, rows in enumerate(_rows(case, examples), start=1):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, step / max(1, case.warm_up))
        if case.zero_grad:
            optimizer.zero_grad()
        loss = training.LOSSES[case.loss](
            network(examples.train.inputs[rows]), examples.train.labels[rows]
        )
        loss.backward()  # type: ignore[no-untyped-call]
        if case.clip is not None:
            clip_grad_norm_(network.parameters(), case.clip)
        optimizer.step()
        yield loss.detach()


def _rows(case: Case, examples: Dataset) -> Iterator[Tensor]:
    """Yield the rows of batches: shuffled by the global seed, or in the order of the labels."""
    labels = examples.train.labels
    if not case.sorted:
        yield from batches(len(labels), training.BATCH, torch.initial_seed() % 2**32)
    order = labels.argsort(stable=True)
    while True:
        for start in range(0, len(labels) - training.BATCH + 1, training.BATCH):
            yield order[start : start + training.BATCH]
