"""The registry of activation functions: one entry is all that a new one needs.

No torch is imported here, so that params.yaml is checked without paying for it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Activation:
    """An activation function φ.

    Attributes:
        module: The class in `torch.nn` that computes φ.
    """

    module: str


ACTIVATIONS = {
    "sigmoid": Activation("Sigmoid"),
    "tanh": Activation("Tanh"),
    "relu": Activation("ReLU"),
    "swish": Activation("SiLU"),  # x·σ(x): Ramachandran et al. (2017) with β = 1
}
