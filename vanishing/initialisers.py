"""The registry of weight initialisations: networks draw from it, and theory computes with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Initialiser:
    """How the weights of a layer are drawn: independently, with mean zero.

    Attributes:
        distribution: Family of the distribution.
        variance: (fan-in, fan-out, `std`) ↦ Var(w).
    """

    distribution: Literal["uniform", "normal"]
    variance: Callable[[int, int, float], float]


INITIALISERS = {
    # PyTorch's own for nn.Linear: U(-1/√fan_in, 1/√fan_in)
    "default": Initialiser("uniform", lambda fan_in, _fan_out, _std: 1 / (3 * fan_in)),
    # Glorot & Bengio (2010), eq. 16
    "xavier_uniform": Initialiser("uniform", lambda fan_in, fan_out, _std: 2 / (fan_in + fan_out)),
    # He et al. (2015), eq. 10
    "he_uniform": Initialiser("uniform", lambda fan_in, _fan_out, _std: 2 / fan_in),
    "normal": Initialiser("normal", lambda _fan_in, _fan_out, std: std**2),
}


def weight_variance(init: str, std: float | None, fan_in: int, fan_out: int) -> float:
    """Return Var(w) of a layer's weights at initialisation; only `normal` uses `std`."""
    return INITIALISERS[init].variance(fan_in, fan_out, std or 0.0)


def bias_variance(fan_in: int) -> float:
    """Return Var(b) of a layer's biases: U(-1/√fan_in, 1/√fan_in) for every initialisation."""
    return 1 / (3 * fan_in)
