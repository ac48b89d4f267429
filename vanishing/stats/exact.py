"""A tensor's summary in a few numbers, exact.

Everything is computed in float64 from the values as they are. A float32 tensor loses nothing in
the conversion, denormals included: squares of values as small as 1e-45 do not underflow. (If
torch were told to flush denormals, by `torch.set_flush_denormal`, they would count as zeros; no
stage does so.) NaN and infinity follow IEEE 754: they make a mean, a norm or a quantile NaN or
infinite, and are counted in `fraction_nonfinite`.
"""

import numpy as np
import torch
from torch import Tensor

QUANTILES = {
    "q01": 0.01,
    "q05": 0.05,
    "q25": 0.25,
    "q50": 0.50,
    "q75": 0.75,
    "q95": 0.95,
    "q99": 0.99,
}


def rms(values: Tensor) -> Tensor:
    """Return √(Σx² / n) over all n elements, a scalar in float64."""
    x = values.detach().flatten().double()
    return (torch.dot(x, x) / len(x)).sqrt()


def summarize(values: Tensor) -> dict[str, float]:
    """Summarize the n elements x of a tensor of any shape, all axes together.

    - `mean`: Σx / n
    - `std`: √(Σ(x - mean)² / n), the population's: biased, and 0 for one sample
    - `rms`: √(Σx² / n)
    - `mean_abs`: Σ|x| / n
    - `max_abs`: max |x|
    - `l2_norm`: √(Σx²)
    - `q01` … `q99`: quantiles of x, linear between order statistics (Hyndman & Fan's type 7,
      NumPy's default)
    - `fraction_zero`: share of x = 0
    - `fraction_nonfinite`: share of NaN, +inf and -inf

    Args:
        values: At least one element, float32 or narrower.

    Returns:
        {statistic: value}.
    """
    x = values.detach().flatten().double()
    magnitude, mean, squares = x.abs(), x.mean(), torch.dot(x, x)
    centred = x - mean
    counts = {
        "fraction_zero": len(x) - torch.count_nonzero(x),
        "fraction_nonfinite": len(x) - torch.count_nonzero(x.isfinite()),
    }
    summary = {
        "mean": mean,
        "std": (torch.dot(centred, centred) / len(x)).sqrt(),
        "rms": (squares / len(x)).sqrt(),
        "mean_abs": magnitude.mean(),
        "max_abs": magnitude.max(),
        "l2_norm": squares.sqrt(),
        **{name: count.double() / len(x) for name, count in counts.items()},
    }
    numbers = torch.stack(list(summary.values())).tolist()
    return dict(zip(summary, numbers, strict=True)) | _quantiles(values)


def _quantiles(values: Tensor) -> dict[str, float]:
    flat = values.detach().flatten().float().cpu().numpy()
    with np.errstate(invalid="ignore"):  # interpolation between infinities is NaN, as documented
        quantiles = np.quantile(flat, list(QUANTILES.values()))
    return dict(zip(QUANTILES, quantiles.astype(float).tolist(), strict=True))


def displacement(weight: Tensor, start: Tensor) -> float:
    """Return ‖W - W_0‖ / ‖W_0‖, the distance of the weights from where they started, in float64.

    NaN where both norms are 0, infinity where only the divisor is 0.
    """
    origin = start.detach().double()
    difference = weight.detach().double() - origin
    return float(torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(origin))
