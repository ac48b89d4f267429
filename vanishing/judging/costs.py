"""What a multilayer perceptron and its optimizer cost, counted from shapes: no durations."""

from itertools import pairwise

from vanishing.params.optimizers import Adagrad, Optimizer, RmsProp, Sgd
from vanishing.params.study import Variant


def parameters(variant: Variant, inputs: int, classes: int) -> int:
    """Count the parameters of a variant's network, as `networks.mlp` builds it.

    A linear layer has fan_in·fan_out weights and fan_out biases; batch normalization has γ and β
    for each unit of a hidden layer. Running means and variances are no parameters.

    Args:
        variant: The network's settings.
        inputs: Number of input features.
        classes: Number of classes.

    Returns:
        The number.
    """
    linear = sum((fan_in + 1) * fan_out for fan_in, fan_out in _fans(variant, inputs, classes))
    batch = variant.normalization == "batch"
    return linear + (2 * variant.depth * variant.width if batch else 0)


def multiply_adds(variant: Variant, inputs: int, classes: int) -> int:
    """Count the multiply-adds of one example's forward pass in evaluation mode.

    One per weight of a linear layer, since it is used once; one per unit and layer for batch
    normalization, which in evaluation mode scales and shifts; one per unit for the addition of a
    skip connection. Activation functions are not counted: they depend on the library.

    Args:
        variant: The network's settings.
        inputs: Number of input features.
        classes: Number of classes.

    Returns:
        The number.
    """
    fans = _fans(variant, inputs, classes)
    total = sum(fan_in * fan_out for fan_in, fan_out in fans)
    if variant.normalization == "batch":
        total += variant.depth * variant.width
    if variant.skip:  # only where a hidden layer's input has the width of its output
        total += sum(fan_out for fan_in, fan_out in fans[:-1] if fan_in == fan_out)
    return total


def optimizer_state(optimizer: Optimizer) -> int:
    """Return how many numbers an optimizer keeps for each parameter, counters of steps aside.

    Momentum is one; Adam and AdamW keep the means of g and g², RMSprop that of g², Adagrad its sum.
    """
    if isinstance(optimizer, Sgd):
        return int(optimizer.momentum > 0)
    if isinstance(optimizer, RmsProp):
        return 1 + int(optimizer.momentum > 0)
    return 1 if isinstance(optimizer, Adagrad) else 2


def _fans(variant: Variant, inputs: int, classes: int) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of each linear layer, from the input to the output."""
    return list(pairwise([inputs, *[variant.width] * variant.depth, classes]))
