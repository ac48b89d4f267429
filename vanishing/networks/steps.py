"""One step of an optimizer."""

from collections.abc import Callable
from inspect import Parameter, signature

from torch import Tensor
from torch.optim import Optimizer


def take_step(optimizer: Optimizer, loss_of_now: Callable[[], Tensor]) -> Tensor:
    """Take a step, with a closure where the optimizer cannot do without, as LBFGS.

    Args:
        optimizer: Of the parameters that the loss depends on.
        loss_of_now: Computes the loss.

    Returns:
        The loss before the step.
    """

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of_now()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    closure = signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is Parameter.empty:
        first: Tensor = optimizer.step(evaluate)  # type: ignore[arg-type,assignment]
        return first
    loss = evaluate()
    optimizer.step()
    return loss
