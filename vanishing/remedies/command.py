"""`vanishing remedy`: what to do about the training of a network that a function returns."""

from dataclasses import dataclass
from functools import partial

from vanishing.explaining.command import default_loss
from vanishing.functions import called, find
from vanishing.gate.assertion import adam
from vanishing.remedies.advice import Advice
from vanishing.remedies.remedy import find_remedy


@dataclass(frozen=True)
class Names:
    """What the command line names, each as `module:function`.

    Attributes:
        network: Returns a network.
        data: Returns (inputs, targets), or two such pairs.
        loss: Of outputs and targets; None for the network's own, or the cross-entropy.
        optimizer: Of the parameters; None for Adam.
        loop: Yields the loss after each step; None for batches drawn from the data.
    """

    network: str
    data: str
    loss: str | None
    optimizer: str | None
    loop: str | None


def remedy_named(names: Names, batch_size: int, steps: int, seed: int) -> Advice:
    """Find the remedy of a training.

    Args:
        names: Of the functions.
        batch_size: Of batches drawn from the data.
        steps: Of the whole training as it is planned.
        seed: Of weights and batches.

    Returns:
        The advice. A StudyError says that a function cannot be found, raises, or returns something
        else than it should.
    """
    make_model = find(names.network, "remedy")
    data = called(find(names.data, "remedy: --data"), names.data, "remedy")
    loss = default_loss if names.loss is None else find(names.loss, "remedy: --loss")
    optimizer = adam if names.optimizer is None else find(names.optimizer, "remedy: --optimizer")
    loop = None if names.loop is None else find(names.loop, "remedy: --loop")
    return find_remedy(
        partial(called, make_model, names.network, "remedy"),
        data,
        loss,
        optimizer=optimizer,
        loop=loop,
        batch_size=batch_size,
        steps=steps,
        seed=seed,
    )
