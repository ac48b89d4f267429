"""`explain`: why a network's gradient vanishes, in factors that multiply to the attenuation."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.parameter import is_lazy

from vanishing.errors import StudyError, in_one_line
from vanishing.explaining.calls import Calls
from vanishing.explaining.explanation import Explanation
from vanishing.explaining.factors import Rows
from vanishing.explaining.graph import Edges, Node, Step, edges_between, plan, rank
from vanishing.explaining.measure import Gradients
from vanishing.explaining.operations import is_loss, kind_of
from vanishing.networks.undisturbed import call_with, copied, map_tensors, seeded, unchanged
from vanishing.results.factors import FACTORS, LOSS

_PAIR = 2  # inputs and targets

Loss = Callable[[Any, Any], Tensor]


def explain(model: nn.Module, batch: Any, loss: Loss, *, seed: int = 0) -> Explanation:
    """Say why a network's gradient vanishes or explodes on its way from the output to the input.

    The batch goes through the network once, forward and backward. Of every operation on the way,
    with L the loss, gain = rms(dL/d its input) / rms(dL/d its output); the operations that lie on
    all paths from the loss to the input make a chain, of which the gains multiply to the

        attenuation = rms(dL/d input) / rms(dL/d output of the network)

    Between two of these there may be parallel paths, as a skip connection and a branch: a join. The
    gradients c_p of its paths add up to g, and with their shares <c_p, g> / <g, g>, which add up to
    1, gain = Σ_p cos(c_p, g) · gain_p. A path has factors of its own. Functions count as modules
    do; a recurrent layer, a normalisation, an activation is one factor.

    The chain begins at the network's output; of a network that returns its loss, at its last layer.
    It ends at the first floating-point input to which a path leads; where inputs are integers, such
    as tokens, at the output of the first embedding. Nothing else changes: not weights, gradients,
    buffers or modes, not the batch, not random states.

    Args:
        model: The network, in the mode in which it is: dropout and batch normalisation work so.
        batch: Inputs and targets. Inputs are a tensor, or a tuple or mapping of arguments.
        loss: Called with the outputs and the targets; returns one number.
        seed: Of the global generators, for dropout.

    Returns:
        The factors, with theory's value beside each where there is one. Where no path leads to the
        input there is none, and the sentence says where the path ends.

    Raises:
        StudyError: If an argument cannot be used, or the backward pass fails.
    """
    if not isinstance(batch, tuple | list) or len(batch) != _PAIR:
        raise StudyError(f"explain: batch: should be (inputs, targets); given {_describe(batch)}")
    if any(map(is_lazy, model.parameters())):
        raise StudyError("explain: model: has lazy parameters; call it once to give them shapes")
    inputs, targets = batch
    with seeded(seed), torch.enable_grad(), unchanged(model):
        given, starts = _prepared(inputs)
        calls = Calls(model)
        with calls.watching():
            outputs = call_with(model, given)
        value = loss(outputs, copied(targets))
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise StudyError(f"explain: loss: should return one number; given {_describe(value)}")
        way = _way(value, [*starts, *calls.embedded])
        if way is None:
            return Explanation(_frame([]), _where_it_ends(value, calls))
        edges, target = way
        try:
            return Explanation(_rows(value, edges, target, calls))
        except RuntimeError as error:
            raise StudyError(f"explain: the backward pass fails: {in_one_line(error)}") from error


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)} items"
    return f"{type(value).__name__} {value!r:.60}"


def _prepared(inputs: Any) -> tuple[Any, list[Tensor]]:
    """Copy the inputs, such that floating-point ones get a gradient."""
    starts: list[Tensor] = []

    def prepare(tensor: Tensor) -> Tensor:
        values = tensor.detach().clone()
        if not values.is_floating_point():
            return values
        starts.append(values.requires_grad_().clone())  # no leaf: it may be changed in place
        return starts[-1]

    return map_tensors(inputs, prepare), starts


def _way(loss: Tensor, starts: Sequence[Tensor]) -> tuple[Edges, GradientEdge] | None:
    """Return the paths from the loss to the first of some tensors to which there is one."""
    if loss.grad_fn is None:
        return None
    for tensor in starts:
        target = get_gradient_edge(tensor)
        edges = edges_between(loss.grad_fn, target.node)
        if edges:
            return edges, target
    return None


def _rows(loss: Tensor, edges: Edges, target: GradientEdge, calls: Calls) -> pd.DataFrame:
    steps = plan(edges, rank(edges))
    chain = steps[_beginning(steps, calls) :]
    gradients = Gradients(chain)
    start = gradients.measure(loss, target, chain[0].node)
    return _frame(Rows(calls, gradients).of_chain(chain, start))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=FACTORS.names)


def _beginning(steps: Sequence[Step], calls: Calls) -> int:
    """Return the first step that is of the network, and not of the loss.

    That is its output; where it computes its loss itself, its last layer's output.
    """
    of_network = [i for i, step in enumerate(steps) if _is_of(step.node, calls)]
    losses = [i for i in of_network if _is_of_loss(steps[i].node, calls)]
    after = [i for i in of_network if i > max(losses, default=-1)]
    if losses:
        layers = [i for i in after if (call := calls.of(steps[i].node)) and call.name]
        after = layers or after
    return next(iter(after), 0)


def _is_of(node: Node, calls: Calls) -> bool:
    return calls.of(node) is not None


def _is_of_loss(node: Node, calls: Calls) -> bool:
    call = calls.of(node)
    return kind_of(node, False) == LOSS or (call is not None and is_loss(call.module))


def _where_it_ends(loss: Tensor, calls: Calls) -> str:
    """Say to which module the path from the loss leads, where it does not lead to the input."""
    if loss.grad_fn is None:
        return "the loss depends on nothing that takes a gradient"
    names = set()
    waiting: list[Node] = [loss.grad_fn]
    visited = set(waiting)
    while waiting:
        node = waiting.pop()
        call = calls.of(node)
        names |= {call.name} if call is not None else set()
        for before, _ in node.next_functions:
            if before is not None and before not in visited:
                visited.add(before)
                waiting.append(before)
    reached = next((name for name in calls.names if name in names and name), None)
    if reached is None:
        return "no module's output takes part in the loss"
    return f"the path ends at `{reached}`, whose input is detached or takes no gradient"
