"""The registry of activation functions; a new function needs one entry and nothing else.

torch is not imported, so that checking params.yaml and computing theory stay quick.
`tests/vanishing/test_activations.py` checks every entry against torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Activation:
    """An activation function φ.

    Attributes:
        module: The class in `torch.nn` that computes φ.
        function: φ, elementwise.
        derivative: φ', elementwise.
        derivative_bounds: The infimum and supremum of φ'.
        moments: q ↦ (E[φ(z)], E[φ(z)²], E[φ'(z)²]) with z ~ N(0, q), in closed form. It is needed
            where φ' jumps, which quadrature would smear; None where φ' is smooth.
    """

    module: str
    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    derivative_bounds: tuple[float, float]
    moments: Callable[[float], tuple[float, float, float]] | None = None


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))  # overflows nowhere, unlike 1 / (1 + exp(-z))


def _sigmoid_derivative(z: Array) -> Array:
    return 0.25 * (1 - np.tanh(z / 2) ** 2)


def _tanh(z: Array) -> Array:
    return np.tanh(z)


def _tanh_derivative(z: Array) -> Array:
    return 1 - np.tanh(z) ** 2


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _relu_derivative(z: Array) -> Array:
    return (z > 0).astype(np.float64)


def _relu_moments(q: float) -> tuple[float, float, float]:
    return math.sqrt(q / (2 * math.pi)), q / 2, 1 / 2


def _swish(z: Array) -> Array:
    return z * _sigmoid(z)


def _swish_derivative(z: Array) -> Array:
    return _sigmoid(z) + z * _sigmoid_derivative(z)


ACTIVATIONS = {
    "sigmoid": Activation("Sigmoid", _sigmoid, _sigmoid_derivative, (0, 0.25)),
    "tanh": Activation("Tanh", _tanh, _tanh_derivative, (0, 1)),
    "relu": Activation("ReLU", _relu, _relu_derivative, (0, 1), _relu_moments),
    # x·σ(x): Ramachandran et al. (2017) with β = 1; φ' is extreme at z = ∓2.3993572805…
    "swish": Activation(
        "SiLU", _swish, _swish_derivative, (-0.09983932012886885, 1.0998393201288669)
    ),
}
