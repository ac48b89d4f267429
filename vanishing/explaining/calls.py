"""The modules whose calls create operations, and values of the forward pass that theory needs.

Every operation of the autograd graph has a number that grows as operations are created. A call
creates those between the number at its beginning and the number at its end.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vanishing.explaining.expected import Expectation, of_function
from vanishing.explaining.graph import Node
from vanishing.recording.layers import blocks, weight_layers
from vanishing.recording.tensors import tensors
from vanishing.results.blocks import block_of


class Call(NamedTuple):
    """A call of a module.

    Attributes:
        name: Of the module, empty for the network itself; its second call is `name#2`.
        module: The module.
    """

    name: str
    module: nn.Module


class Calls:
    """Watches one forward pass of a network.

    Attributes:
        elements: {operation: name}, of the outputs of blocks and of layers that are one themselves.
        embedded: Outputs of embeddings, in the order of their calls.
        expected: {operation: computes theory's value}, of activations and normalisations.
        names: Of the modules that were called, in the order in which calls begin.
        end: The number of the first operation after the forward pass.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        self.elements: dict[Node, str] = {}
        self.embedded: list[Tensor] = []
        self.expected: dict[Node, Expectation] = {}
        self.names: list[str] = []
        self.end = 0
        self._network = network
        alone = [name for name in weight_layers(network) if block_of(name) == name]
        self._elements = {*blocks(network), *alone}
        self._counts: Counter[str] = Counter()
        self._open: list[tuple[int, Call]] = []
        self._changes: list[tuple[int, Call | None]] = []  # from this number on, the innermost call

    @contextmanager
    def watching(self) -> Iterator[Self]:
        """Watch the calls meanwhile."""
        with ExitStack() as stack:
            for name, module in self._network.named_modules():
                begin = module.register_forward_pre_hook(self._begin_hook(name))
                stack.callback(begin.remove)
                end = module.register_forward_hook(self._end)
                stack.callback(end.remove)
            stack.enter_context(_Functions(self.expected))
            yield self
            self.end = _next_number()

    def of(self, node: Node) -> Call | None:
        """Return the innermost call that created an operation; None of one after the pass."""
        if not hasattr(node, "_sequence_nr"):
            return None
        place = bisect_right(self._changes, node._sequence_nr(), key=lambda change: change[0])
        return self._changes[place - 1][1] if place else None

    def _begin_hook(self, name: str) -> Any:
        def begin(module: nn.Module, _inputs: Any) -> None:
            self._counts[name] += 1
            count = self._counts[name]
            call = Call(name if count == 1 else f"{name}#{count}", module)
            self.names.append(call.name)
            self._open.append((_next_number(), call))
            self._changes.append((_next_number(), call))

        return begin

    def _end(self, module: nn.Module, _inputs: Any, outputs: Any) -> Any:
        _, call = self._open.pop()
        self._changes.append((_next_number(), self._open[-1][1] if self._open else None))
        is_embedding = isinstance(module, nn.Embedding | nn.EmbeddingBag)
        if is_embedding and not outputs.requires_grad and torch.is_grad_enabled():
            outputs = (
                outputs.requires_grad_().clone()
            )  # of a frozen one: a gradient comes there too
        if is_embedding:
            self.embedded.append(outputs)
        if call.name.partition("#")[0] in self._elements:
            for tensor in tensors(outputs):
                if tensor.grad_fn is not None:
                    self.elements.setdefault(tensor.grad_fn, call.name)
        return outputs if is_embedding else None


def _next_number() -> int:
    return torch._C._autograd._get_sequence_nr()


class _Functions(TorchFunctionMode):
    """Asks theory about each function of torch that it knows, when that is called."""

    def __init__(self, expected: dict[Node, Expectation]) -> None:
        super().__init__()
        self._expected = expected

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        expected = of_function(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        if expected is not None and isinstance(result, Tensor) and result.grad_fn is not None:
            self._expected[result.grad_fn] = expected
        return result
