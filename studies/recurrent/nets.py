"""Recurrent classifiers of images that are read row by row, from the top to the bottom.

At each of the 28 time steps the network sees one row of 28 pixels; the state h after the last step
goes through a linear layer to the logits. `wait` adds empty rows after the image, over which the
network has to remember what it saw.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

CLASSES = 10
PIXELS = 28  # of a row


class RowByRow(nn.Module):
    """A recurrent layer over the rows of an image, and a linear layer on its last state.

    Args:
        rnn: The recurrent layer, `batch_first`.
        wait: Empty rows (zeros) after the image.
    """

    def __init__(self, rnn: nn.RNNBase, wait: int = 0) -> None:
        super().__init__()
        self.rnn = rnn
        self.wait = wait
        self.output = nn.Linear(rnn.hidden_size, CLASSES)

    def forward(self, images: Tensor) -> Tensor:  # (batch, 1, 28, 28) -> (batch, 10)
        """Return the logits."""
        rows = pad(images.squeeze(1), (0, 0, 0, self.wait))  # (batch, time, pixels)
        states, _ = self.rnn(rows)  # (batch, time, units)
        logits: Tensor = self.output(states[:, -1])
        return logits


def vanilla(units: int, recurrent: str = "default", wait: int = 0) -> RowByRow:
    """Return h_t = tanh(W x_t + U h_(t-1) + b).

    Args:
        units: Of h.
        recurrent: How U begins: `default` (PyTorch's U(-1/√units, 1/√units)) or `orthogonal` (Saxe
            et al. 2014).
        wait: Empty rows after the image.

    Returns:
        The network.
    """
    rnn = nn.RNN(PIXELS, units, batch_first=True)
    if recurrent == "orthogonal":
        nn.init.orthogonal_(rnn.weight_hh_l0)
    return RowByRow(rnn, wait)


def identity(units: int, wait: int = 0) -> RowByRow:
    """Return h_t = ReLU(W x_t + U h_(t-1) + b) that begins by adding up (Le et al. 2015).

    At the start U = I, W is from N(0, 0.001²) and b = 0.

    Args:
        units: Of h.
        wait: Empty rows after the image.

    Returns:
        The network.
    """
    rnn = nn.RNN(PIXELS, units, nonlinearity="relu", batch_first=True)
    nn.init.eye_(rnn.weight_hh_l0)
    nn.init.normal_(rnn.weight_ih_l0, std=0.001)
    nn.init.zeros_(rnn.bias_ih_l0)
    nn.init.zeros_(rnn.bias_hh_l0)
    return RowByRow(rnn, wait)


def lstm(units: int, forget_bias: float | None = None, wait: int = 0) -> RowByRow:
    """Return a long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    Args:
        units: Of the cell.
        forget_bias: Of the forget gate at the start (Jozefowicz et al. 2015 advise 1); None for
            PyTorch's, which is near 0.
        wait: Empty rows after the image.

    Returns:
        The network.
    """
    rnn = nn.LSTM(PIXELS, units, batch_first=True)
    if forget_bias is not None:  # the gates are stacked: input, forget, cell, output
        with torch.no_grad():
            rnn.bias_ih_l0[units : 2 * units] = forget_bias
            rnn.bias_hh_l0[units : 2 * units] = 0
    return RowByRow(rnn, wait)


def gru(units: int, wait: int = 0) -> RowByRow:
    """Return a gated recurrent unit (Cho et al. 2014)."""
    return RowByRow(nn.GRU(PIXELS, units, batch_first=True), wait)
