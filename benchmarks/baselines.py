"""The usual ways to train and to record, written as the users of each library would."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset

from benchmarks.watchers.wandb_watch import begin_offline
from vanishing.params.data import Images
from vanishing.params.optimizers import Sgd
from vanishing.params.study import Study
from vanishing.paths import RAW

AfterBackward = Callable[[], None]


def build_network(depth: int = 5, width: int = 1000, pixels: int = 784) -> nn.Sequential:
    """Build the article's network as its readers do."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(pixels, width), nn.Sigmoid()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def build_optimizer(network: nn.Module, study: Study) -> torch.optim.SGD:
    """Make PyTorch's optimizer."""
    optimizer = study.train.optimizer
    assert isinstance(optimizer, Sgd)  # noqa: S101 - that of the article's study
    return torch.optim.SGD(
        network.parameters(), lr=optimizer.learning_rate, momentum=optimizer.momentum
    )


class UsualLoop:
    """The usual loop: two workers, transforms per image, eager SGD, the loss read at every step."""

    def __init__(self, study: Study, device: torch.device, images: int) -> None:
        from torchvision import datasets, transforms  # noqa: PLC0415 - its import takes a second

        images_of = study.data
        assert isinstance(images_of, Images)  # noqa: S101 - those of the article's study
        transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Normalize((images_of.mean,), (images_of.std,)),
            ]
        )
        data = datasets.MNIST(str(RAW), train=True, download=False, transform=transform)
        self._loader = DataLoader(
            Subset(data, range(images)),
            batch_size=study.train.batch_size,
            shuffle=True,
            num_workers=2,
        )
        self._device = device
        self._network = build_network().to(device)
        self._optimizer = build_optimizer(self._network, study)

    def train_epoch(self) -> float:
        """Train for one epoch, start of the workers included, and return the mean loss."""
        self._network.train()
        total = 0.0
        for images, labels in self._loader:
            x, y = images.to(self._device), labels.to(self._device)
            self._optimizer.zero_grad()
            loss = cross_entropy(self._network(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            total += loss.item()
        return total / len(self._loader)


@contextmanager
def wandb_watch(network: nn.Module) -> Iterator[AfterBackward]:
    """Record with wandb.watch, offline, at every step."""
    with tempfile.TemporaryDirectory() as folder, begin_offline(Path(folder)) as run:
        run.watch(network, log="gradients", log_freq=1)
        yield lambda: run.log({})
        run.unwatch(network)


@contextmanager
def add_histogram(network: nn.Module) -> Iterator[AfterBackward]:
    """Record with TensorBoard's add_histogram for each parameter, at every step."""
    from torch.utils.tensorboard import (  # noqa: PLC0415 - installed for the benchmarks alone
        SummaryWriter,
    )

    step = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)

        def after_backward() -> None:
            nonlocal step
            step += 1
            for name, parameter in network.named_parameters():
                writer.add_histogram(f"gradients/{name}", parameter.grad, step)

        yield after_backward
        writer.close()


@contextmanager
def numpy_histogram(network: nn.Module) -> Iterator[AfterBackward]:
    """Record with NumPy: a histogram and four moments of each gradient, at every step."""
    records: list[dict[str, tuple[Any, ...]]] = []

    def after_backward() -> None:
        record: dict[str, tuple[Any, ...]] = {}
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None  # noqa: S101 - after backward
            gradient = parameter.grad.cpu().numpy()
            counts, edges = np.histogram(gradient, bins=64)
            moments = gradient.mean(), gradient.std(), np.abs(gradient).mean()
            record[name] = (*moments, float(np.linalg.norm(gradient)), counts, edges)
        records.append(record)

    yield after_backward


RECORDERS = {
    "wandb.watch": wandb_watch,
    "add_histogram": add_histogram,
    "NumPy": numpy_histogram,
}


def take_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    after_backward: AfterBackward | None = None,
) -> None:
    """Take one eager step, and record where `after_backward` is given."""
    optimizer.zero_grad()
    cross_entropy(network(batch[0]), batch[1]).backward()  # type: ignore[no-untyped-call]
    if after_backward:
        after_backward()
    optimizer.step()
