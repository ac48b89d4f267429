"""What the outputs of a network say of its task: do they depend on the input, and are they right?

A loss that is the cross-entropy of softmax(z) has the gradient dL/dz = s · (softmax(z) - t), a row
per example, with t the target and s = 1/n for a mean over n rows. So labels and s can be read off
dL/dz, and nobody needs to hand them over. Rows of such a gradient sum to 0.
"""

import torch
from torch import Tensor

ROW_SUM, ACCURACY, LARGEST_CLASS = "row_sum", "accuracy", "largest_class"
SCALE, SCALE_SPREAD, OFF_PROBABILITIES = "scale", "scale_spread", "off_probabilities"
OF_GRADIENT = (ROW_SUM, ACCURACY, LARGEST_CLASS, SCALE, SCALE_SPREAD, OFF_PROBABILITIES)
_LEAST_ERROR = 0.01  # 1 - softmax(z) at the label, below which s is mostly rounding
_QUANTILES = (0.1, 0.5, 0.9)


def dependence(outputs: Tensor) -> Tensor:
    """Return the share of the outputs' differences that depends on the example.

    With z' = z - mean over features (z itself, of one feature), which is all that a softmax sees:

        Σ over features of Var over examples (z') / Σ over features of mean over examples (z'²)

    Args:
        outputs: (examples, features).

    Returns:
        (), float64: 0 where all examples get the same outputs, 1 where the mean over examples is 0;
        NaN where z' is 0.
    """
    z = outputs.detach().double()
    if z.shape[1] > 1:
        z = z - z.mean(1, keepdim=True)
    return z.var(0, correction=0).sum() / z.square().mean(0).sum()


def read_gradient(outputs: Tensor, gradient: Tensor) -> Tensor:
    """Read labels and the loss's scale off the gradient of a cross-entropy.

    The label of a row is the feature with the most negative gradient; of n rows with a gradient,
    s · n = -n · g_label / (1 - softmax(z)_label) is 1 where the loss is their mean.

    Args:
        outputs: z, (rows, features), with 2 features or more.
        gradient: g = dL/dz, of the same shape.

    Returns:
        (6,), float64, by OF_GRADIENT: Σ|Σg| over ΣΣ|g|, outer sums over rows, 0 for a softmax; the
        share of rows whose largest z is the label's; the share of the most frequent label; the
        median of s · n over rows; the distance of its 10 and 90 % quantiles over the median; and
        how far g is from that of a loss that is given softmax(z), see `_off_probabilities`. A row
        whose softmax is 1 and whose gradient is 0 has the label that it names. NaN where no row
        counts.
    """
    z, g = outputs.detach().double(), gradient.detach().double()
    sums = g.abs().sum(1)
    largest, answers = z.float().softmax(1).max(1)
    # Where the network is sure and right the gradient is 0; where a row is ignored it is too.
    is_sure = (sums == 0) & (largest == 1)
    used = (sums > 0) | is_sure
    count = used.sum()
    labels = g.argmin(1).where(~is_sure, answers)
    row_sum = g.sum(1).abs().sum() / sums.sum()
    accuracy = _mean((answers == labels).double(), used, count)
    counts = torch.zeros(z.shape[1], dtype=torch.float64, device=z.device)
    counts = counts.index_add(0, labels, used.double())
    rows = torch.arange(len(z), device=z.device)
    p = z.softmax(1)
    error = 1 - p[rows, labels]
    scales = -g[rows, labels] / error * count
    scales = scales.where(used & (error > _LEAST_ERROR), torch.nan)
    low, scale, high = scales.nanquantile(scales.new_tensor(_QUANTILES))
    off = _off_probabilities(p, g, labels, sums > 0)
    return torch.stack([row_sum, accuracy, counts.max() / count, scale, (high - low) / scale, off])


def _off_probabilities(p: Tensor, g: Tensor, labels: Tensor, used: Tensor) -> Tensor:
    """Return how far a gradient is from that of a loss that is given probabilities.

    Such a loss is -log softmax(p)_label, of a function that takes logits, or -p_label, of one that
    takes their logarithms. With h its gradient to z, the smaller one of ‖g - c·h‖ / ‖g‖, norms over
    the used rows, with the factor c that makes it least.

    Args:
        p: softmax(z), (rows, features).
        g: dL/dz, of the same shape.
        labels: (rows,).
        used: (rows,), bool: where g is not 0.

    Returns:
        (), from 0 to 1; NaN where g is 0.
    """
    rows = torch.arange(len(p), device=p.device)
    hits = torch.zeros_like(p)
    hits[rows, labels] = 1
    size = g.square().sum()
    shares = []
    for slope in (p.softmax(1) - hits, -hits):  # dL/dp
        h = (p * (slope - (p * slope).sum(1, keepdim=True))).where(used.unsqueeze(1), 0)
        shares.append((g * h).sum().square() / (size * h.square().sum()))
    return (1 - torch.stack(shares).max()).clamp(min=0).sqrt()


def _mean(values: Tensor, used: Tensor, count: Tensor) -> Tensor:
    return values.where(used, 0).sum() / count
