"""A variant of a study as a task."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from vanishing.datasets.examples import Examples
from vanishing.networks.build import build
from vanishing.params.optimizers import in_torch
from vanishing.params.study import NONE, TrainedVariant, Training
from vanishing.remedies.task import Split, Task, batches
from vanishing.seeds import generator
from vanishing.training.precision import autocast


def task_of(
    variant: TrainedVariant, training: Training, data: tuple[Examples, Examples], classes: int
) -> Task:
    """Return the training of a variant.

    Args:
        variant: Its network.
        training: How it is trained.
        data: Training and test examples, on the device.
        classes: Number of classes.

    Returns:
        The task; its batches come in an order of their own, not in that of the stage `train`.
    """
    train, test = data
    batch_size = min(training.batch_size, len(train.labels))
    return Task(
        partial(_make_model, variant, train, classes),
        Split(*train),
        Split(*test),
        cross_entropy,
        partial(_make_optimizer, training),
        partial(_loop, training, train, batch_size),
        batch_size,
        training.epochs * -(-len(train.labels) // batch_size),
    )


def _make_model(variant: TrainedVariant, examples: Examples, classes: int) -> nn.Module:
    """Build the network, its weights drawn as torch's global seed says."""
    rng = generator(torch.initial_seed(), "remedy weights")
    return build(variant, examples.inputs[0].numel(), classes, rng).to(examples.inputs.device)


def _make_optimizer(training: Training, parameters: Sequence[nn.Parameter]) -> Optimizer:
    kind, settings = in_torch(training.optimizer)
    optimizer: Optimizer = getattr(torch.optim, kind)(parameters, **settings)
    return optimizer


def _loop(
    training: Training, examples: Examples, batch_size: int, model: nn.Module, optimizer: Optimizer
) -> Iterator[Tensor]:
    for rows in batches(len(examples.labels), batch_size, torch.initial_seed()):
        optimizer.zero_grad()
        with autocast(examples.inputs.device, training.precision):
            loss = cross_entropy(model(examples.inputs[rows]), examples.labels[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        if training.clip_norm != NONE:
            clip_grad_norm_(model.parameters(), float(training.clip_norm))
        optimizer.step()
        yield loss.detach()
