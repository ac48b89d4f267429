"""Networks whose training is watched to measure what it costs, each with a batch."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import baselines

_DEPTH, _WIDTH, _HEADS, _LENGTH = 4, 128, 4, 64  # of the transformer


class Batch(NamedTuple):
    """Inputs and the labels of ten classes."""

    inputs: Tensor
    labels: Tensor


def study_mlp() -> tuple[nn.Module, Batch]:
    """Build the article's network and draw a batch of 100."""
    return baselines.build_network(), _batch(torch.randn(100, 1, 28, 28))


def resnet18() -> tuple[nn.Module, Batch]:
    """Build torchvision's ResNet-18 and draw a batch of 32 images of 32 × 32 pixels."""
    from torchvision import models  # noqa: PLC0415 - its import takes a second

    return models.resnet18(num_classes=10), _batch(torch.randn(32, 3, 32, 32))


class Transformer(nn.Module):
    """PyTorch's encoder of 4 layers of width 128, on vectors; the mean over the sequence counts."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(_WIDTH, _HEADS, 4 * _WIDTH, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, _DEPTH)
        self.head = nn.Linear(_WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (batch, 10), of (batch, sequence, 128)."""
        logits: Tensor = self.head(self.encoder(x).mean(1))
        return logits


def transformer() -> tuple[nn.Module, Batch]:
    """Build a small transformer and draw a batch of 16 sequences of 64 vectors."""
    return Transformer(), _batch(torch.randn(16, _LENGTH, _WIDTH))


def _batch(inputs: Tensor) -> Batch:
    return Batch(inputs, torch.randint(10, (len(inputs),)))
