"""Small networks for square images, each with the output layer `head`.

A builder takes `side`, the rows of an image, and settings. Weights are drawn from torch's global
generator, as PyTorch draws them. Activations are modules, so that a watch sees them.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 10

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}
_RECURRENT: Mapping[str, Callable[..., nn.RNNBase]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


def mlp(
    side: int,
    depth: int,
    width: int,
    activation: str,
    norm: str | None = None,
    bottleneck: int | None = None,
) -> nn.Module:
    """Build a multilayer perceptron.

    Args:
        side: Rows of an image.
        depth: Hidden layers: `hidden1`, `hidden2`, …
        width: Units of each.
        activation: Its name.
        norm: `batch` or `layer`: a normalization before each activation; None without.
        bottleneck: Units of the last hidden layer, where it is narrower.

    Returns:
        The network.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    inputs = side * side
    for number in range(1, depth + 1):
        outputs = bottleneck if bottleneck is not None and number == depth else width
        modules[f"hidden{number}"] = nn.Linear(inputs, outputs)
        if norm:
            modules[f"norm{number}"] = _norm(norm, outputs)
        modules[f"activation{number}"] = _ACTIVATIONS[activation]()
        inputs = outputs
    modules["head"] = nn.Linear(inputs, CLASSES)
    return nn.Sequential(modules)


class ResidualBlock(nn.Module):
    """h + f(h), with f a linear layer, an activation and a second linear layer.

    Attributes:
        arrangement: `plain`; `pre` or `post`, with layer normalization before the branch or after
            the sum; `zero`, whose second layer begins at zero; `batch`, with batch normalization
            in the branch.
    """

    def __init__(self, width: int, activation: str, arrangement: str) -> None:
        super().__init__()
        self.arrangement = arrangement
        self.norm: nn.Module = nn.Identity()
        if arrangement in {"pre", "post"}:
            self.norm = nn.LayerNorm(width)
        if arrangement == "batch":
            self.norm = nn.BatchNorm1d(width)
        self.inner = nn.Linear(width, width)
        self.activation = _ACTIVATIONS[activation]()
        self.outer = nn.Linear(width, width)
        if arrangement == "zero":
            nn.init.zeros_(self.outer.weight)
            nn.init.zeros_(self.outer.bias)

    def forward(self, stream: Tensor) -> Tensor:
        """Add the branch to the stream, (batch, width)."""
        post = self.arrangement == "post"
        inputs = stream if post else self.norm(stream)
        total: Tensor = stream + self.outer(self.activation(self.inner(inputs)))
        return self.norm(total) if post else total


def residual_mlp(
    side: int, blocks: int, width: int, activation: str, arrangement: str
) -> nn.Module:
    """Build a stem, residual blocks `block1`, `block2`, … and the head."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(
        flatten=nn.Flatten(), stem=nn.Linear(side * side, width)
    )
    for number in range(1, blocks + 1):
        modules[f"block{number}"] = ResidualBlock(width, activation, arrangement)
    modules["head"] = nn.Linear(width, CLASSES)
    return nn.Sequential(modules)


def lenet(
    side: int, channels: int, width: int, activation: str, norm: str | None = None
) -> nn.Module:
    """Build two convolutions, each of which halves the image, and a hidden layer.

    Args:
        side: Rows of an image.
        channels: Of the first convolution; the second has twice as many.
        width: Units of the hidden layer.
        activation: Its name.
        norm: `batch`, after each convolution, or None.

    Returns:
        The network.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 1
    for number, outputs in enumerate((channels, 2 * channels), start=1):
        modules[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        if norm:
            modules[f"norm{number}"] = nn.BatchNorm2d(outputs)
        modules[f"activation{number}"] = _ACTIVATIONS[activation]()
        inputs = outputs
    modules["flatten"] = nn.Flatten()
    modules["hidden"] = nn.Linear(inputs * (side // 4) ** 2, width)
    modules["activation3"] = _ACTIVATIONS[activation]()
    modules["head"] = nn.Linear(width, CLASSES)
    return nn.Sequential(modules)


class ConvolutionalBlock(nn.Module):
    """h + f(h), with f two convolutions with batch normalization, and an activation after the sum.

    Attributes:
        arrangement: `plain`, without normalization; `batch`; `zero`, with it, and the weight of the
            last normalization at zero.
    """

    def __init__(self, channels: int, arrangement: str) -> None:
        super().__init__()
        normalized = arrangement != "plain"
        self.inner = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels) if normalized else nn.Identity()
        self.activation = nn.ReLU()
        self.outer = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels) if normalized else nn.Identity()
        if arrangement == "zero":
            nn.init.zeros_(self.norm2.get_parameter("weight"))
        self.last = nn.ReLU()

    def forward(self, stream: Tensor) -> Tensor:
        """Add the branch to the stream, (batch, channels, rows, columns)."""
        branch = self.norm2(self.outer(self.activation(self.norm1(self.inner(stream)))))
        total: Tensor = self.last(stream + branch)
        return total


def residual_conv(side: int, blocks: int, channels: int, arrangement: str) -> nn.Module:
    """Build a stem, which halves the image twice, convolutional blocks and a head."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Conv2d(1, channels, 3, stride=2, padding=1),
        activation=nn.ReLU(),
        pool=nn.MaxPool2d(2),
    )
    for number in range(1, blocks + 1):
        modules[f"block{number}"] = ConvolutionalBlock(channels, arrangement)
    modules["flatten"] = nn.Flatten()
    modules["head"] = nn.Linear(channels * (side // 4) ** 2, CLASSES)
    return nn.Sequential(modules)


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image; the head reads its last output."""

    def __init__(self, side: int, kind: str, width: int) -> None:
        super().__init__()
        self.rnn = _RECURRENT[kind](side, width, batch_first=True)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (batch, 10), of (batch, 1, rows, columns)."""
        outputs, _ = self.rnn(images.squeeze(1))  # (batch, rows, width)
        logits: Tensor = self.head(outputs[:, -1])
        return logits


class Transformer(nn.Module):
    """An encoder over the rows of an image, with learned positions; the head reads the mean."""

    def __init__(self, side: int, layers: int, width: int, pre: bool) -> None:
        super().__init__()
        self.stem = nn.Linear(side, width)
        self.positions = nn.Parameter(0.02 * torch.randn(side, width))
        for number in range(1, layers + 1):
            layer = nn.TransformerEncoderLayer(
                width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=pre
            )
            self.add_module(f"block{number}", layer)
        self.head = nn.Linear(width, CLASSES)
        self._layers = layers

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (batch, 10), of (batch, 1, rows, columns)."""
        stream = self.stem(images.squeeze(1)) + self.positions  # (batch, rows, width)
        for number in range(1, self._layers + 1):
            stream = self.get_submodule(f"block{number}")(stream)
        logits: Tensor = self.head(stream.mean(1))
        return logits


def _norm(kind: str, width: int) -> nn.Module:
    return nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)


NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "residual-mlp": residual_mlp,
    "lenet": lenet,
    "residual-conv": residual_conv,
    "recurrent": Recurrent,
    "transformer": Transformer,
}


def build(function: str, side: int, arguments: Mapping[str, Any]) -> nn.Module:
    """Build the network of that name for images of `side` rows."""
    return NETWORKS[function](side, **arguments)
