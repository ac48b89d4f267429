"""Why a parameter gets no gradient, by the autograd graph: detached, or unused.

A path leads from the loss to a parameter if autograd computes a gradient for it, which a hook on
the parameter tells: a gradient that is 0, as behind a branch that is multiplied by 0, has a path.
Of the others the forward passes tell the reason. They are looked at until the first traced step has
been taken, and never again.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from vanishing.recording.sharding import is_sharded

DETACHED, UNUSED = "detached", "unused"


class GradientPaths:
    """Finds the parameters that no path leads to.

    Args:
        layers: Modules that have parameters of their own.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        # A layer may use the parameters of a child without calling it: nn.MultiheadAttention.
        self._users: dict[Tensor, list[nn.Module]] = {}
        by_layer = {layer: list(layer.parameters(recurse=False)) for layer in layers}
        for layer in by_layer:
            for user in (layer, *layer.children()):
                for parameter in by_layer.get(user, ()):
                    self._users.setdefault(parameter, []).append(layer)
        self._reached: set[Tensor] = set()
        self._in_graphs: set[Tensor] = set()
        self._called: set[nn.Module] = set()
        self._called_without_graph: set[nn.Module] = set()
        self._hooks: list[Any] = []

    def start(self) -> None:
        """See gradients from now on."""
        if self._hooks:
            return
        for parameter in self._users:
            if parameter.requires_grad and not is_sharded(parameter):
                self._hooks.append(parameter.register_hook(self._hook_of(parameter)))  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def called(self, layer: nn.Module, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> None:
        """See a call of a layer.

        Args:
            layer: Which one.
            inputs: The tensors that it was given, at which its own part of the graph ends.
            outputs: The tensors that it returned.
        """
        self._called.add(layer)
        functions = [tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None]
        if not functions:
            self._called_without_graph.add(layer)
        ends = {tensor.grad_fn for tensor in inputs if tensor.grad_fn is not None}
        self._in_graphs.update(_leaves(functions, ends))

    def reason(self, parameter: Tensor) -> str | None:
        """Say why no gradient reaches a parameter that requires one.

        Returns:
            `detached` if it takes part in a forward pass: an output of its layer depends on it and
            no path leads there, or its layer ran where no gradient is recorded. `unused` if its
            layer was not called, or has no output that depends on it. None if a gradient reached
            it, or no layer was seen: that of a graph that `torch.compile` made, or of shards.
        """
        if parameter in self._reached or not self._called or is_sharded(parameter):
            return None
        users = self._users.get(parameter, [])
        is_used = parameter in self._in_graphs or not self._called_without_graph.isdisjoint(users)
        return DETACHED if is_used else UNUSED

    def _hook_of(self, parameter: Tensor) -> Any:
        reached = self._reached

        def reach(_gradient: Tensor) -> None:
            reached.add(parameter)

        return reach


def _leaves(functions: Iterable[Any], ends: set[Any]) -> Iterator[Tensor]:
    """Yield the leaves of the part of a graph between some functions and its ends."""
    waiting = [function for function in functions if function not in ends]
    visited = set(waiting)
    while waiting:
        function = waiting.pop()
        if type(function).__name__ == "AccumulateGrad":
            yield function.variable
        for before, _ in function.next_functions:
            if before is not None and before not in visited and before not in ends:
                visited.add(before)
                waiting.append(before)
