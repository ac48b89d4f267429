"""Small networks, one per way of building in which a gradient is easily misread."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

INPUTS, UNITS, OUTPUTS = 4, 5, 3
TOKENS = 10


def mlp() -> nn.Sequential:
    """Build a small network."""
    return nn.Sequential(nn.Linear(INPUTS, UNITS), nn.Tanh(), nn.Linear(UNITS, OUTPUTS))


def frozen() -> nn.Sequential:
    """Build one whose first layer is frozen."""
    network = mlp()
    network[0].requires_grad_(False)
    return network


def narrow() -> nn.Sequential:
    """Build one with parameters in bfloat16."""
    return mlp().bfloat16()


def in_place() -> nn.Sequential:
    """Build one whose activation overwrites its input."""
    return nn.Sequential(nn.Linear(INPUTS, UNITS), nn.ReLU(inplace=True), nn.Linear(UNITS, OUTPUTS))


class Residual(nn.Module):
    """Adds its input to a layer's output in place."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(INPUTS, INPUTS)
        self.outer = nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        o: Tensor = self.inner(x)
        o += x
        outputs: Tensor = self.outer(o.tanh())
        return outputs


class Repeated(nn.Module):
    """Calls a module twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(INPUTS, INPUTS)
        self.outer = nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        outputs: Tensor = self.outer(self.inner(self.inner(x).tanh()).tanh())
        return outputs


class Checkpointed(nn.Module):
    """Computes a block again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(INPUTS, UNITS), nn.Tanh(), nn.Linear(UNITS, UNITS))
        self.outer = nn.Linear(UNITS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        outputs: Tensor = self.outer(checkpoint(self.block, x, use_reentrant=False))
        return outputs


class Branches(nn.Module):
    """Has a branch that counts, one that nothing depends on, and one that is multiplied by 0."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.absent, self.zero = (nn.Linear(INPUTS, OUTPUTS) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        outputs: Tensor = self.used(x) + 0 * self.zero(x)
        return outputs


class Tied(nn.Module):
    """Uses the weight of its embedding as that of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, INPUTS)
        self.decoder = nn.Linear(INPUTS, TOKENS, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (batch, tokens)."""
        outputs: Tensor = self.decoder(self.embedding(tokens).tanh())
        return outputs


def sparse_embedding() -> nn.Sequential:
    """Build a network whose embedding has sparse gradients."""
    embedding = nn.Embedding(TOKENS, INPUTS, sparse=True)
    return nn.Sequential(embedding, nn.Tanh(), nn.Linear(INPUTS, OUTPUTS))


class Complex(nn.Module):
    """Has complex parameters and real outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(INPUTS, UNITS, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, units)."""
        outputs: Tensor = self.inner(x.to(torch.complex64))
        return outputs.abs()


class Recurrent(nn.Module):
    """An LSTM, whose output is a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUTS, UNITS, batch_first=True)
        self.outer = nn.Linear(UNITS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) of one sequence of all inputs."""
        outputs: Tensor = self.outer(self.lstm(x[None])[0][0])
        return outputs


class Attention(nn.Module):
    """Attention with one packed weight for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(INPUTS, 2, batch_first=True)
        self.outer = nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) of one sequence of all inputs."""
        attended = self.attention(x[None], x[None], x[None], need_weights=False)[0]
        outputs: Tensor = self.outer(attended[0])
        return outputs


def adversaries() -> nn.ModuleDict:
    """Build a generator and a discriminator."""
    return nn.ModuleDict(
        {"generator": nn.Linear(INPUTS, INPUTS), "discriminator": nn.Linear(INPUTS, 1)}
    )
