"""`vanishing explain`: a network that a function returns, on given or random inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vanishing.errors import StudyError
from vanishing.explaining.explain import Loss, explain
from vanishing.explaining.explanation import Explanation
from vanishing.functions import called, find
from vanishing.judging.factors import average
from vanishing.networks.undisturbed import seeded

_EXAMPLES = 100  # random inputs
_MATRIX_AXES = 2


@dataclass(frozen=True)
class Names:
    """What the command line names.

    Attributes:
        network: `module:function` that returns a network.
        data: `module:function` that returns inputs and targets; None for random ones.
        loss: `module:function` of outputs and targets; None for the network's own, or the
            cross-entropy.
        shape: Of one random input, where `data` is None.
    """

    network: str
    data: str | None
    loss: str | None
    shape: tuple[int, ...] | None


def explain_named(names: Names, seeds: Sequence[int]) -> Explanation:
    """Explain a network: the mean over initialisations.

    Args:
        names: The network, and what it is given.
        seeds: Of the global generators while the network is made, one per initialisation.

    Returns:
        The explanation; of several seeds, with decades averaged.

    Raises:
        StudyError: If a function cannot be found, raises, or returns something else.
    """
    make = find(names.network, "explain")
    batch = _batch(names)
    loss: Loss = default_loss if names.loss is None else find(names.loss, "explain: --loss")
    explanations = []
    for seed in seeds:
        with seeded(seed):
            model = called(make, names.network, "explain")
        if not isinstance(model, nn.Module):
            returned = type(model).__name__
            raise StudyError(
                f"explain: {names.network} returned a {returned}, not a torch.nn.Module"
            )
        explanation: Explanation = called(
            partial(explain, model, batch, loss), names.network, "explain"
        )
        if explanation.no_path:
            return explanation
        explanations.append(explanation)
    return Explanation(average([explanation.table for explanation in explanations]))


def _batch(names: Names) -> Any:
    if names.data is not None:
        return called(find(names.data, "explain: --data"), names.data, "explain")
    if names.shape is None:
        raise StudyError(
            "explain: needs inputs: --data module:function, which returns (inputs, targets), or"
            " --shape 3,32,32 for random ones"
        )
    with seeded(0):
        return torch.randn(_EXAMPLES, *names.shape), None


def default_loss(outputs: Any, targets: Any) -> Tensor:
    """Return the loss that a network has computed itself, or the cross-entropy of its logits.

    Args:
        outputs: Logits (batch, classes, …), or an object that has `loss` or `logits`.
        targets: Classes; None for random ones.

    Returns:
        One number.

    Raises:
        StudyError: If the outputs are no logits.
    """
    computed = getattr(outputs, "loss", None)
    if isinstance(computed, Tensor):
        return computed
    logits = getattr(outputs, "logits", outputs)
    if not isinstance(logits, Tensor) or logits.dim() < _MATRIX_AXES:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise StudyError(f"explain: the network returns {given}, no logits: give --loss")
    if targets is None:
        shape = (len(logits), *logits.shape[2:])
        targets = torch.randint(logits.shape[1], shape, device=logits.device)
    return cross_entropy(logits, targets)
