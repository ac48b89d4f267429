"""A variant's network: the library's multilayer perceptron, or one that a function returns."""

import torch
from torch import nn

from vanishing.errors import StudyError, in_one_line
from vanishing.functions import find
from vanishing.networks import mlp
from vanishing.params.study import Built, TrainedVariant
from vanishing.paths import PARAMS

_SEEDS = 2**63 - 1


def build(
    variant: TrainedVariant, inputs: int, classes: int, generator: torch.Generator
) -> nn.Module:
    """Build a variant's network on the CPU, every parameter drawn from `generator`.

    Args:
        variant: Its parameters.
        inputs: Number of elements of an input.
        classes: Number of classes.
        generator: On the CPU; the same state gives the same network.

    Returns:
        The network, in training mode. Errors are those of `build_function`.
    """
    if isinstance(variant, Built):
        return build_function(variant, generator)
    return mlp.build(variant, inputs, classes, generator)


def build_function(variant: Built, generator: torch.Generator) -> nn.Module:
    """Call the function that a variant names.

    It is called with the variant's arguments as keywords. Whatever it draws from torch's global
    generator follows from `generator`; the global generator is afterwards as it was. It returns a
    new module that maps a batch of inputs to logits (batch, classes).

    Returns:
        The network, in training mode.

    Raises:
        StudyError: If there is no such function, it raises, or it returns no module.
    """
    key = f"{PARAMS}: network"
    seed = int(torch.randint(_SEEDS, (), generator=generator))
    with torch.random.fork_rng():
        function = find(variant.network, key)  # whose module may draw when it is imported
        torch.manual_seed(seed)
        try:
            network = function(**variant.arguments)
        except Exception as error:
            reason = in_one_line(error)
            raise StudyError(
                f"{key}: {variant.network} with arguments {variant.arguments}: {reason}"
            ) from error
    if not isinstance(network, nn.Module):
        raise StudyError(
            f"{key}: {variant.network} returned a {type(network).__name__}; it should return a"
            " torch.nn.Module"
        )
    return network.train()


def build_empty(variant: TrainedVariant, inputs: int, classes: int) -> nn.Module:
    """Build a variant's network for weights that are read from a file."""
    if isinstance(variant, Built):
        return build_function(variant, torch.Generator())
    with torch.device("meta"):  # the file brings every value
        return mlp.MLP(variant, inputs, classes)
