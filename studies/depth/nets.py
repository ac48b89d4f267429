"""Deep networks with a residual stream, normalized before or after each block (Xiong et al. 2020).

A block adds to the stream h what a linear layer makes of it. `pre` normalizes inside of the branch
and leaves the stream alone: h + W ReLU(LN(h)) + b. `post` normalizes the stream itself:
LN(h + W ReLU(h) + b), as the first transformers did. LN is layer normalization (Ba et al. 2016).
"""

from torch import Tensor, nn

CLASSES = 10
PIXELS = 28 * 28


class PreNormBlock(nn.Module):
    """h ↦ h + W ReLU(LN(h)) + b."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.activation = nn.ReLU()
        self.linear = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:  # (batch, width) -> (batch, width)
        """Apply the block."""
        branch: Tensor = self.linear(self.activation(self.norm(h)))
        return h + branch


class PostNormBlock(nn.Module):
    """h ↦ LN(h + W ReLU(h) + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.activation = nn.ReLU()
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor) -> Tensor:  # (batch, width) -> (batch, width)
        """Apply the block."""
        out: Tensor = self.norm(h + self.linear(self.activation(h)))
        return out


_BLOCKS = {"pre": PreNormBlock, "post": PostNormBlock}


class Residual(nn.Module):
    """A linear layer into the stream, blocks, layer normalization, and a linear layer out of it."""

    def __init__(self, depth: int, width: int, norm: str) -> None:
        super().__init__()
        self.embed = nn.Linear(PIXELS, width)
        self.blocks = nn.ModuleList(_BLOCKS[norm](width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:  # (batch, 1, 28, 28) -> (batch, 10)
        """Return the logits."""
        h = self.embed(images.flatten(1))
        for block in self.blocks:
            h = block(h)
        logits: Tensor = self.output(self.norm(h))
        return logits


def residual(depth: int, width: int, norm: str) -> Residual:
    """Return a residual network.

    Args:
        depth: Blocks, each with one linear layer.
        width: Of the stream.
        norm: `pre` or `post`.

    Returns:
        The network, with PyTorch's own initial weights.
    """
    return Residual(depth, width, norm)
