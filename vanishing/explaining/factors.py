"""The rows of the table of factors: steps along the graph, with their norms, names and theory."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vanishing.explaining.calls import Call, Calls
from vanishing.explaining.expected import Expected, of_module, of_paths, of_weights
from vanishing.explaining.graph import Node, Path, Step
from vanishing.explaining.measure import Gradients, Norm
from vanishing.explaining.operations import is_rearrangement, kind_of, kind_of_module, operation
from vanishing.results.factors import (
    ACTIVATION,
    BECOMES_NOT_FINITE,
    BECOMES_ZERO,
    FACTORS,
    INPUT,
    JOIN,
    NORMALISATION,
    NOT_FINITE,
    OUTPUT,
    PATH,
    WEIGHTS,
    ZERO,
)

Row = dict[str, Any]
_WRAPPERS = 8  # rearrangements between a parameter and the operation that multiplies by it


class _Factor(NamedTuple):
    """One or more steps that are a row together.

    Attributes:
        steps: The steps.
        main: The one that names the row.
        start: The gradient that goes in.
        shapes: Of the main step's output and input.
        end: The gradient that comes out.
        whole: The call of a module that is one factor as a whole; None of an operation.
    """

    steps: tuple[Step, ...]
    main: Step
    start: Norm
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    end: Norm
    whole: Call | None


class Rows:
    """Makes the rows.

    Args:
        calls: Of the forward pass.
        gradients: Of the backward pass.
    """

    def __init__(self, calls: Calls, gradients: Gradients) -> None:
        self._calls = calls
        self._gradients = gradients
        self._position = 0

    def of_chain(self, steps: Sequence[Step], start: Norm) -> list[Row]:
        """Return the rows of the way from the network's output to its input.

        Args:
            steps: Of the way.
            start: The gradient at its beginning.

        Returns:
            Rows with the columns of `results.factors.FACTORS`, those of paths after their join.
        """
        rows: list[Row] = []
        hop, later = 1, OUTPUT
        pending: list[Row] = []  # of this hop: where it ends is not known yet
        for factor in self._factors(steps, start):
            elements = (self._calls.elements.get(step.node) for step in factor.steps)
            name = next(filter(None, elements), None)
            if name is not None:
                rows += [row | {"hop": hop, "later": later, "earlier": name} for row in pending]
                hop, later, pending = hop + bool(pending), name, []
            pending += self._rows(factor, 0)
        return rows + [row | {"hop": hop, "later": later, "earlier": INPUT} for row in pending]

    def _factors(self, steps: Sequence[Step], start: Norm) -> Iterator[_Factor]:
        """Group steps: those of a module that is one factor, and those that change nothing.

        A step that changes nothing belongs to the next that does; at the end to the one before.

        Yields:
            The factors, in order.
        """
        factors: list[_Factor] = []
        idle: tuple[Step, ...] = ()
        for step in steps:
            end = self._gradients.norms[step.last]
            whole = self._whole(step)
            if whole is not None and not idle and factors and factors[-1].whole == whole:
                before = factors.pop()
                factors.append(before._replace(steps=(*before.steps, step), end=end))
            elif whole is None and _is_idle(step) and start.size == end.size:
                idle = (*idle, step)
                continue
            else:
                output = self._gradients.norms[idle[-1].last] if idle else start
                shapes = output.shape, end.shape
                factors.append(_Factor((*idle, step), step, start, shapes, end, whole))
            idle, start = (), end
        if idle and factors:
            end = self._gradients.norms[idle[-1].last]
            factors.append(factors.pop()._replace(end=end))
        yield from factors

    def _whole(self, step: Step) -> Call | None:
        """Return the call of a module that is one factor, if all of the step is in it."""
        call = self._calls.of(step.node)
        if call is None or kind_of_module(call.module) is None:
            return None
        sources = {edge.source for edge in step.edges}
        return call if all(self._calls.of(source) == call for source in sources) else None

    def _rows(self, factor: _Factor, within: int) -> list[Row]:
        """Return the row of a factor, and of a join those of its paths."""
        node = factor.main.node
        if factor.whole is not None:
            kind = kind_of_module(factor.whole.module)
            name = type(factor.whole.module).__name__
        else:
            name = operation(node)
            kind = JOIN if factor.main.paths else kind_of(node, self._weight(factor) is not None)
        row = self._row(within, factor.start, factor.end) | {
            "layer": self._layer(node),
            "operation": name,
            "kind": kind,
        }
        rows = [row]
        if kind == JOIN:
            gains = []
            for path in factor.main.paths:
                inner = self._path(path, factor, row["position"])
                gains.append(inner[0]["gain"])
                rows += inner
            theory = of_paths(gains)
        else:
            theory = self._theory(factor, str(kind), name)
        row |= {"theory": theory.value, "bound": theory.bound}
        row["note"] = _event(factor) or theory.reason
        return rows

    def _path(self, path: Path, join: _Factor, within: int) -> list[Row]:
        end = self._gradients.norms[path.last]
        factors = list(self._factors(path.steps, join.start))
        sources = {edge.source: None for edge in path.edges if edge.source is not join.main.node}
        layers = [self._layer(node) for node in sorted(sources, key=_number)]
        is_skip = bool(path.steps) and not factors
        alignment = self._gradients.alignments[path.last]
        row = self._row(within, join.start, end) | {
            "layer": " … ".join(dict.fromkeys([layers[0], layers[-1]])) if layers else "",
            "operation": "skip"
            if is_skip
            else "branch"
            if path.steps
            else operation(path.last[0].source),
            "kind": PATH,
            "share": alignment.share,
            "cosine": alignment.cosine,
            "note": "" if path.steps else "shares operations with other paths",
        }
        rows = [row]
        for factor in factors:
            rows += self._rows(factor, row["position"])
        return rows

    def _row(self, within: int, start: Norm, end: Norm) -> Row:
        self._position += 1
        gain = end.rms / start.rms if start.rms else math.nan
        return dict.fromkeys(FACTORS.names, math.nan) | {
            "position": self._position,
            "within": within,
            "rms_output": start.rms,
            "rms_input": end.rms,
            "gain": gain,
            "decades": math.log10(gain) if gain > 0 else -math.inf if gain == 0 else math.nan,
        }

    def _layer(self, node: Node) -> str:
        call = self._calls.of(node)
        return call.name if call is not None else ""

    def _weight(self, factor: _Factor) -> Tensor | None:
        """Return the parameter that an operation multiplies by."""
        node = factor.main.node
        path = {edge.slot for edge in factor.main.edges if edge.source is node}
        for index, (before, _) in enumerate(node.next_functions):
            if index not in path and before is not None:
                parameter = _parameter(before)
                if parameter is not None and parameter.dim() > 1:
                    return parameter
        call = self._calls.of(node)
        return of_module(call.module) if call is not None else None

    def _theory(self, factor: _Factor, kind: str, name: str) -> Expected:
        if kind == WEIGHTS:
            return of_weights(self._weight(factor), factor.main.node, *factor.shapes)
        if kind in {ACTIVATION, NORMALISATION}:
            nodes = (edge.source for step in factor.steps for edge in step.edges)
            expectations = filter(None, map(self._calls.expected.get, nodes))
            expectation = next(expectations, None)
            if expectation is not None:
                return expectation()
        return Expected(reason=f"no formula for {name}")


def _number(node: Node) -> int:
    return int(node._sequence_nr()) if hasattr(node, "_sequence_nr") else 0


def _is_idle(step: Step) -> bool:
    return not step.paths and is_rearrangement(step.node)


def _parameter(node: Node) -> Tensor | None:
    """Return the parameter behind rearrangements, as a matrix that is transposed."""
    for _ in range(_WRAPPERS):
        if hasattr(node, "variable"):
            variable: Tensor = node.variable
            return variable
        if not is_rearrangement(node) or len(node.next_functions) != 1:
            return None
        node = node.next_functions[0][0]
        if node is None:
            return None
    return None


def _event(factor: _Factor) -> str:
    """Say where a gradient becomes 0, or is no number any more."""
    if not math.isfinite(factor.start.rms):
        return NOT_FINITE
    if not math.isfinite(factor.end.rms):
        return BECOMES_NOT_FINITE
    if factor.start.rms == 0:
        return ZERO
    return BECOMES_ZERO if factor.end.rms == 0 else ""
