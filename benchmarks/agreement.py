"""How well mean-field theory of networks holds: `python -m benchmarks.agreement` (half a minute).

Prints a Markdown table, that of docs/theory.md: for each network the largest relative difference of
a measurement, a geometric mean over fresh initialisations, from its prediction. Inputs are N(0, 1).
"""

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn

from vanishing.datasets.examples import Examples
from vanishing.errors import run_command
from vanishing.recording.probe import record
from vanishing.stats.exact import rms
from vanishing.theory.network.walk import NetworkLayerTheory, predict_network

CLASSES = 10


class Convolutions(nn.Module):
    """Three convolutions of 12 x 12 pixels, padded with zeros, the second with a stride of 2.

    Args:
        activation: After each.
        is_averaged: Whether the positions are averaged before the output layer.
    """

    def __init__(self, activation: type[nn.Module], is_averaged: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 96, 3, padding=1)
        self.second = nn.Conv2d(96, 96, 3, stride=2, padding=1)
        self.third = nn.Conv2d(96, 96, 3, padding=1)
        self.activation = activation()
        self.is_averaged = is_averaged
        self.output = nn.Linear(96 if is_averaged else 96 * 6 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        for layer in (self.first, self.second, self.third):
            x = self.activation(layer(x))
        logits: Tensor = self.output(x.mean((2, 3)) if self.is_averaged else torch.flatten(x, 1))
        return logits


class Block(nn.Module):
    """A residual block, with its layer normalization before it, after it or nowhere."""

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm == "none" else nn.LayerNorm(width)
        self.activation = nn.ReLU()
        self.linear = nn.Linear(width, width)
        self.kind = norm

    def forward(self, h: Tensor) -> Tensor:
        """Apply the block."""
        if self.kind == "none":
            out: Tensor = h + self.activation(self.linear(h))
        elif self.kind == "pre":
            out = h + self.linear(self.activation(self.norm(h)))
        else:
            out = self.norm(h + self.linear(self.activation(h)))
        return out


class Recurrent(nn.Module):
    """A vanilla recurrent layer, or several, and a linear layer on the last state."""

    def __init__(self, units: int, nonlinearity: str = "tanh", layers: int = 1) -> None:
        super().__init__()
        self.rnn = nn.RNN(20, units, layers, nonlinearity=nonlinearity, batch_first=True)
        self.output = nn.Linear(units, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        states, _ = self.rnn(x)
        logits: Tensor = self.output(states[:, -1])
        return logits


def residual(norm: str, blocks: int = 4, width: int = 300) -> nn.Module:
    """Return residual blocks between two linear layers."""
    stream = [Block(width, norm) for _ in range(blocks)]
    return nn.Sequential(nn.Linear(200, width), *stream, nn.Linear(width, CLASSES))


def normalized_chain(activation: type[nn.Module], is_before: bool) -> nn.Module:
    """Return linear layers with layer normalization before or after the activation."""
    layers: list[nn.Module] = []
    for inputs in (200, 400, 400):
        normalization, phi = nn.LayerNorm(400), activation()
        pair = (normalization, phi) if is_before else (phi, normalization)
        layers += [nn.Linear(inputs, 400), *pair]
    return nn.Sequential(*layers, nn.Linear(400, CLASSES))


class Case(NamedTuple):
    """A network to measure.

    Attributes:
        name: In the table.
        network: Draws it.
        shape: Of the inputs.
        draws: Of the network.
    """

    name: str
    network: Callable[[], nn.Module]
    shape: tuple[int, ...]
    draws: int = 10


CASES = (
    Case("conv, ReLU", lambda: Convolutions(nn.ReLU, False), (30, 3, 12, 12)),
    Case("conv, tanh, mean over positions", lambda: Convolutions(nn.Tanh, True), (30, 3, 12, 12)),
    Case("h + ReLU(W h)", lambda: residual("none"), (60, 200)),
    Case("pre-LN", lambda: residual("pre"), (60, 200)),
    Case("post-LN", lambda: residual("post"), (60, 200)),
    Case("tanh(LN(W h))", lambda: normalized_chain(nn.Tanh, True), (60, 200)),
    Case("LN(sigmoid(W h))", lambda: normalized_chain(nn.Sigmoid, False), (60, 200)),
    Case("LN(swish(W h))", lambda: normalized_chain(nn.SiLU, False), (60, 200)),
    Case("RNN, tanh, 400 units, 10 steps", lambda: Recurrent(400), (30, 10, 20)),
    Case("RNN, ReLU, 400 units, 10 steps", lambda: Recurrent(400, "relu"), (30, 10, 20)),
    Case("RNN, two layers of 300, 8 steps", lambda: Recurrent(300, layers=2), (30, 8, 20)),
)
# Narrow and deep, or long: how far from the limit of many units theory still holds.
_NARROW = (
    Case("pre-LN, 50 blocks of 100 units", lambda: residual("pre", 50, 100), (60, 200), 40),
    Case("post-LN, 50 blocks of 100 units", lambda: residual("post", 50, 100), (60, 200), 40),
    Case("RNN, tanh, 64 units, 12 steps", lambda: Recurrent(64), (60, 12, 20), 100),
    Case("RNN, tanh, 64 units, 28 steps", lambda: Recurrent(64), (60, 28, 20), 100),
    Case("RNN, tanh, 256 units, 28 steps", lambda: Recurrent(256), (60, 28, 20), 40),
    Case("RNN, tanh, 1024 units, 28 steps", lambda: Recurrent(1024), (60, 28, 20), 5),
)
Layer = dict[str, np.ndarray]  # q, rms(dL/dz), and rms(dL/dh_t) by time


def measure(case: Case) -> tuple[list[Layer], list[NetworkLayerTheory]]:
    """Measure a network and predict it.

    Returns:
        By hidden layer geometric means over the draws, and the theory of the first draw.
    """
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(case.shape, generator=generator)
    probe = Examples(inputs, torch.randint(CLASSES, case.shape[:1], generator=generator))
    with torch.random.fork_rng():
        drawn = []
        for seed in range(case.draws):
            torch.manual_seed(seed)
            drawn.append(_measure_draw(case.network(), probe))
        torch.manual_seed(0)
        predicted = predict_network(case.network(), inputs)
    layers = [
        {name: np.exp(np.mean([np.log(draw[name]) for draw in draws], axis=0)) for name in draws[0]}
        for draws in zip(*drawn, strict=True)
    ]
    return layers, predicted


def _measure_draw(network: nn.Module, probe: Examples) -> list[Layer]:
    recording = record(network, probe, len(probe.labels), sum_in_float64=False)
    return [
        {
            "q": np.array(float(rms(layer.tensors["preactivation"])) ** 2),
            "gradient": np.array(float(rms(layer.tensors["backpropagated_gradient"]))),
            **{name: values.numpy() for name, values in layer.through_time.items()},
        }
        for layer in list(recording.layers.values())[:-1]
    ]


def differences(case: Case) -> dict[str, np.ndarray]:
    """Return {quantity: measured / predicted - 1, of each layer or time step}.

    The quantities are `q`, `hop`, `attenuation`, `hop in time`, and `time`: all hops in time
    together, of the layer in which they differ most.
    """
    measured, predicted = measure(case)
    gradients = np.array([layer["gradient"] for layer in measured])
    hops = gradients[:-1] / gradients[1:] / [layer.hop for layer in predicted[:-1]]
    in_time = list(_hops_in_time(measured, predicted))
    together = [np.prod(ratios) for ratios in in_time]
    ratios = {
        "q": np.array([m["q"] / p.q for m, p in zip(measured, predicted, strict=True)]),
        "hop": hops,
        "attenuation": np.array([np.prod(hops)] if len(hops) else []),
        "hop in time": np.concatenate(in_time) if in_time else np.array([]),
        "time": np.array(together),
    }
    return {name: ratio - 1 for name, ratio in ratios.items()}


def _hops_in_time(
    measured: list[Layer], predicted: list[NetworkLayerTheory]
) -> Iterator[np.ndarray]:
    """Yield measured over predicted hops of each recurrent layer."""
    for measurement, layer in zip(measured, predicted, strict=True):
        for tensor, hops in layer.hops_in_time.items():
            steps = measurement[tensor]
            yield steps[:-1] / steps[1:] / hops


def main(_argv: list[str]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = []
    for case in (*CASES, *_NARROW):
        largest = [
            f"{max(values, key=abs):+.1%}".replace("%", " %") if len(values) else ""
            for values in differences(case).values()
        ]
        rows.append([case.name, case.draws, *largest])
    headers = ["network", "draws", "q", "hop", "attenuation", "hop in time", "through time"]
    align = ("left", *["right"] * 6)
    print(tabulate(rows, headers, "pipe", disable_numparse=True, colalign=align))


if __name__ == "__main__":
    sys.exit(run_command(main))
