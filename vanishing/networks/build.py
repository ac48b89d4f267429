"""A variant's network: the library's multilayer perceptron, or one of the study's own code."""

import importlib
import sys
from pathlib import Path

import torch
from torch import nn

from vanishing.errors import StudyError
from vanishing.networks import mlp
from vanishing.params.study import Variant
from vanishing.paths import PARAMS


def build(variant: Variant, inputs: int, classes: int, generator: torch.Generator) -> nn.Module:
    """Build a variant's network on the CPU, every parameter drawn from `generator`.

    Args:
        variant: Its parameters. `network: module:function` names a function of a module beside
            params.yaml, which is called with the arguments of this one.
        inputs: Number of input features.
        classes: Number of classes.
        generator: On the CPU; the same state gives the same network.

    Returns:
        The network, in training mode.

    Raises:
        StudyError: If there is no such function, or it returns no module.
    """
    if variant.network is None:
        return mlp.build(variant, inputs, classes, generator)
    module, _, function = variant.network.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        build_own = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise StudyError(f"{PARAMS}: network: {variant.network}: {error}") from None
    network = build_own(variant, inputs, classes, generator)
    if not isinstance(network, nn.Module):
        raise StudyError(
            f"{PARAMS}: network: {variant.network} returned a {type(network).__name__}; it should"
            " return a torch.nn.Module"
        )
    return network


def build_empty(variant: Variant, inputs: int, classes: int) -> nn.Module:
    """Build a variant's network for weights that are read from a file."""
    if variant.network is None:
        with torch.device("meta"):  # the file brings every value
            return mlp.MLP(variant, inputs, classes)
    return build(variant, inputs, classes, torch.Generator())
