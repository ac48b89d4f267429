"""Trainings of small networks on digits, healthy or with one fault, under a watch."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import SGD, Adam, Optimizer

import vanishing
from tests.support.study import DIGITS
from vanishing.datasets.idx import FILES

CLASSES = 10
_IMAGES_FROM, _LABELS_FROM = 16, 8  # bytes of a header


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Return the images of the fixture, (images, 784) in [-1, 1], and their labels."""
    contents = (gzip.decompress((DIGITS / f"{name}.gz").read_bytes()) for name in FILES["train"])
    pixels, labels = (torch.frombuffer(bytearray(c), dtype=torch.uint8) for c in contents)
    inputs = pixels[_IMAGES_FROM:].reshape(-1, 784).float() / 127.5 - 1
    return inputs, labels[_LABELS_FROM:].long()


def mlp(depth: int = 2, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Make a perceptron of width 32: `hidden1`, `activation1`, …, `head`."""
    torch.manual_seed(0)
    model = nn.Sequential()
    for number in range(1, depth + 1):
        model.add_module(f"hidden{number}", nn.Linear(784 if number == 1 else 32, 32))
        model.add_module(f"activation{number}", activation())
    model.add_module("head", nn.Linear(32, CLASSES))
    return model


def adam(parameters: Any) -> Optimizer:
    """Return Adam with its usual rate."""
    return Adam(parameters, lr=1e-3)


@dataclass
class Loop:
    """A training loop in which one thing may be wrong."""

    model: nn.Module = field(default_factory=mlp)
    optimizer: Callable[[Any], Optimizer] = adam
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    inputs: Callable[[Tensor], Tensor] = lambda x: x
    labels: Callable[[Tensor], Tensor] = lambda y: y
    order: Callable[[Tensor], Tensor] = lambda y: torch.arange(len(y))
    resets: bool = True
    clip: float | None = None

    def train(self, folder: Path, steps: int = 60, **options: Any) -> Path:
        """Train under a watch with these options; return the folder."""
        x, y = digits()
        rows = self.order(y)
        x, y = self.inputs(x[rows]), self.labels(y[rows])
        optimizer = self.optimizer(self.model.parameters())
        with vanishing.watch(self.model, optimizer, folder=folder, **options) as watch:
            for step in range(steps):
                batch = torch.arange(32 * step, 32 * (step + 1)) % len(x)
                if self.resets:
                    optimizer.zero_grad()
                loss = self.loss(self.model(x[batch]), y[batch])
                watch.loss(loss)
                loss.backward()  # type: ignore[no-untyped-call]
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
                optimizer.step()
        return folder


def double_softmax(z: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of who hands probabilities to a function of logits."""
    return cross_entropy(z.softmax(1), labels)


def mixed(z: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of labels that are half another example's, as of mixup."""
    halves = one_hot(labels, z.shape[1]) + one_hot(labels.flip(0), z.shape[1])
    return cross_entropy(z, halves / 2)


def summed(z: Tensor, labels: Tensor) -> Tensor:
    """Return the loss summed over the batch."""
    return cross_entropy(z, labels, reduction="sum")


def sgd(rate: float = 0.1, **settings: Any) -> Callable[[Any], Optimizer]:
    """Return what makes an SGD."""
    return lambda parameters: SGD(parameters, lr=rate, **settings)


def changed(change: Callable[[nn.Sequential], object], depth: int = 2) -> nn.Sequential:
    """Return a perceptron that something was done to."""
    model = mlp(depth)
    with torch.no_grad():
        change(model)
    return model


def with_normalization(
    change: Callable[[nn.BatchNorm1d], object] = lambda part: part,
) -> nn.Sequential:
    """Return a perceptron with a batch normalization that something was done to."""
    normalization = nn.BatchNorm1d(32)
    change(normalization)
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 32), normalization, nn.ReLU(), nn.Linear(32, 10))


def named(model: nn.Module, layers: Sequence[str]) -> list[nn.Linear]:
    """Return linear layers by their names."""
    return [
        layer
        for name, layer in model.named_modules()
        if name in layers and isinstance(layer, nn.Linear)
    ]
