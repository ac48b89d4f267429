"""Whether the weights of a layer look as if drawn independently, and with which variance.

The theory is of weights that are independent around zero. An identity or orthogonal matrix has the
same variance and other gradients; the weights themselves show it.
"""

import math

import torch
from torch import Tensor

from vanishing.theory.network.recursions import Draw, NoTheoryError, spread

_DEVIATIONS = 6  # standard deviations; fewer than one draw in 1e8 is farther off by chance
_FEWEST = 8  # values whose mean is looked at
_ORTHOGONAL = 1e-8  # mean squared cosine, in units of that of independent weights


def measure(layer: str, weight: Tensor, *biases: Tensor | None) -> Draw:
    """Measure how a layer's weights and biases were drawn.

    Args:
        layer: Its name.
        weight: (outputs, inputs, …).
        biases: That are added to the output.

    Returns:
        Var(w) = mean(w²), and the sum of mean(b²).

    Raises:
        NoTheoryError: If they do not look as if drawn independently around zero.
    """
    matrix = weight.detach().double().flatten(1)
    values = [bias.detach().double() for bias in biases if bias is not None]
    if reason := _not_independent(matrix) or _not_around_zero(matrix, "weights"):
        raise NoTheoryError(f"{layer}: {reason}")
    for bias in values:
        if reason := _not_around_zero(bias, "biases"):
            raise NoTheoryError(f"{layer}: {reason}")
    return Draw(
        layer,
        float(matrix.square().mean()),
        sum(float(bias.square().mean()) for bias in values),
    )


def _not_around_zero(values: Tensor, name: str) -> str | None:
    """Return what is wrong with a mean that is farther from 0 than chance explains."""
    count = values.numel()
    limit = _DEVIATIONS * float(values.std(correction=0)) / math.sqrt(count)
    if count >= _FEWEST and abs(float(values.mean())) > limit:
        return f"its {name} are not drawn around zero"
    return None


def _not_independent(matrix: Tensor) -> str | None:
    """Return what is wrong with rows, or columns where they are fewer, as independent vectors.

    For k vectors of n independent elements with variance v, (a·b)² / (n·v²) is 1 on average over
    the pairs, with a standard deviation of about √(2 / pairs). It is 0 for an orthogonal matrix.
    """
    vectors = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    count, size = vectors.shape
    variance = float(matrix.square().mean())
    pairs = count * (count - 1) // 2
    if pairs == 0 or variance == 0:
        return None
    products = torch.triu(vectors @ vectors.T, diagonal=1)
    ratio = float(products.square().sum()) / (pairs * size * variance**2)
    if ratio < _ORTHOGONAL:
        return "its weights are orthogonal or the identity; the theory is of independent ones"
    if abs(ratio - 1) > 0.1 + _DEVIATIONS * spread(pairs):
        return "its weights are not drawn independently, as rows or columns are correlated"
    return None
