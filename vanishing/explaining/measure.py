"""Norms of gradients while they come: of operations' outputs, and of what single paths bring there.

All sums are of float64, whatever the gradients are.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from vanishing.explaining.graph import Edge, Edges, Node, Step

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

_Parts = dict[int, Tensor]  # {output of the operation: gradient}


class Norm(NamedTuple):
    """The size of a gradient.

    Attributes:
        square: Σ of the squares; NaN or infinite where an element is.
        size: Number of elements.
        shape: Of the first output.
    """

    square: float
    size: int
    shape: tuple[int, ...]

    @property
    def rms(self) -> float:
        """The root mean square; 0 where no gradient comes."""
        return math.sqrt(self.square / self.size) if self.size else 0.0


class Alignment(NamedTuple):
    """How a path's gradient c stands to that of all paths together, g.

    Attributes:
        share: <c, g> / <g, g>; the shares of all paths add up to 1.
        cosine: <c, g> / (|c| |g|).
    """

    share: float
    cosine: float


class Gradients:
    """What a backward pass brings.

    Attributes:
        norms: {edges into an operation: of the gradient that they bring together}.
        alignments: {edges of a path into an operation: how it stands to all paths}.

    Args:
        steps: That are measured.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.norms: dict[Edges, Norm] = {}
        self.alignments: dict[Edges, Alignment] = {}
        self._together: dict[Node, dict[Edges, list[Edges]]] = {}  # edges, and their parts
        self._brought: dict[Edge, Tensor | None] = {}
        waiting = list(steps)
        while waiting:
            step = waiting.pop()
            self._together.setdefault(step.end, {}).setdefault(step.last, [])
            for path in step.paths:
                self._together[step.end][step.last].append(path.last)
                waiting += path.steps

    def measure(self, loss: Tensor, target: GradientEdge, start: Node) -> Norm:
        """Compute the gradients.

        Args:
            loss: One number.
            target: Where the steps end.
            start: Where they begin.

        Returns:
            The norm of the gradient at the start.
        """
        first: list[Norm] = []
        handles: list[RemovableHandle] = []
        every_edge = {edge for sets in self._together.values() for last in sets for edge in last}
        sources = {edge.source: None for edge in every_edge}
        by_source: dict[Node, list[Edge]] = {}
        for edge in every_edge:
            by_source.setdefault(edge.source, []).append(edge)
        try:
            handles.append(start.register_prehook(lambda g: first.append(_norm(_present(g)))))
            handles += [node.register_hook(self._keep(by_source[node])) for node in sources]
            handles += [
                node.register_prehook(lambda g, node=node: self._read(node, _present(g)))
                for node in self._together
                if node is not target.node
            ]
            (gradient,) = torch.autograd.grad(loss, [target], allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        self._read(target.node, _present([None] * target.output_nr + [gradient]))
        return first[0]

    def _keep(self, edges: Sequence[Edge]) -> Callable[[Any, Any], None]:
        def keep(inputs: Sequence[Tensor | None], _outputs: Any) -> None:
            self._brought.update({edge: inputs[edge.slot] for edge in edges})

        return keep

    def _read(self, node: Node, arrived: _Parts) -> None:
        """Measure all that comes to an operation's outputs, and what parts of the paths bring.

        A path that leads to some of the outputs, as queries do to a third of a joint projection,
        brings 0 to the others: all norms are of as many elements.
        """
        sets = self._together.get(node, {})
        edges = max(sets, key=len)
        size = _norm(arrived).size
        for last, paths in sets.items():
            whole = arrived if last == edges else self._sum(last)
            self.norms[last] = _norm(whole)._replace(size=size)
            for path in paths:
                part = self._sum(path)
                self.norms[path] = _norm(part)._replace(size=size)
                self.alignments[path] = _align(part, self._sum(last))
        for edge in edges:
            self._brought.pop(edge, None)

    def _sum(self, edges: Edges) -> _Parts:
        parts: _Parts = {}
        for edge in edges:
            gradient = self._brought.get(edge)
            if gradient is not None:
                values = _wide(gradient)
                parts[edge.output] = parts.get(edge.output, 0) + values
        return parts


def _present(gradients: Sequence[Tensor | None]) -> _Parts:
    return {output: g for output, g in enumerate(gradients) if g is not None}


def _wide(gradient: Tensor) -> Tensor:
    """Return a gradient in float64; a complex one as pairs of real numbers."""
    real = torch.view_as_real(gradient) if gradient.is_complex() else gradient
    return real.detach().to(torch.float64)


def _norm(parts: _Parts) -> Norm:
    square = sum(float(_wide(part).square().sum()) for part in parts.values())
    size = sum(part.numel() for part in parts.values())
    return Norm(square, size, next((tuple(part.shape) for part in parts.values()), ()))


def _align(part: _Parts, whole: _Parts) -> Alignment:
    product = sum(float((part[output] * whole[output]).sum()) for output in part)
    norms = [math.sqrt(_norm(parts).square) for parts in (part, whole)]
    share = product / norms[1] ** 2 if norms[1] else math.nan
    return Alignment(share, product / math.prod(norms) if math.prod(norms) else math.nan)
