"""The paths through the autograd graph from the loss to an input, taken apart.

`plan` takes the edges on all paths between two nodes. The nodes on all of these paths are its cuts;
between two neighbouring cuts there is one operation, or there are parallel paths: a join, where the
backward pass adds up the gradients of the paths. Each of the paths is taken apart likewise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

Node = Any  # torch.autograd.graph.Node: an operation's backward function


class Edge(NamedTuple):
    """A gradient that an operation passes on.

    Attributes:
        source: The operation.
        slot: Which of the gradients of its inputs.
        target: The operation whose output that input is.
        output: Which of its outputs.
    """

    source: Node
    slot: int
    target: Node
    output: int


Edges = tuple[Edge, ...]


class Path(NamedTuple):
    """One of several paths between two nodes.

    Attributes:
        edges: All on the path.
        last: Those of `edges` that lead into the end.
        steps: What the path consists of; empty where it cannot be told apart from others, as it
            shares operations with them.
    """

    edges: Edges
    last: Edges
    steps: "tuple[Step, ...]"


class Step(NamedTuple):
    """A step from an operation's output to that of an earlier one.

    Attributes:
        node: The operation whose output's gradient goes in.
        end: The operation whose output's gradient comes out.
        edges: All between them.
        last: Those of `edges` that lead into the end.
        paths: Where there are several; empty of a single operation.
    """

    node: Node
    end: Node
    edges: Edges
    last: Edges
    paths: tuple[Path, ...] = ()


def edges_between(root: Node, target: Node) -> Edges:
    """Return the edges on all paths from one node to another; none where there is no path."""
    forward: dict[Node, list[Edge]] = {}
    backward: dict[Node, list[Edge]] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node in forward or node is target:
            continue
        forward[node] = [
            Edge(node, index, before, output)
            for index, (before, output) in enumerate(node.next_functions)
            if before is not None
        ]
        for edge in forward[node]:
            backward.setdefault(edge.target, []).append(edge)
            waiting.append(edge.target)
    live: set[Node] = set()
    waiting = [target]
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            waiting += [edge.source for edge in backward.get(node, ())]
    return tuple(edge for node in forward for edge in forward[node] if edge.target in live)


def rank(edges: Edges) -> dict[Node, int]:
    """Return the place of each node in an order in which all edges lead onwards."""
    incoming = Counter(edge.target for edge in edges)
    outgoing: dict[Node, list[Node]] = {}
    for edge in edges:
        outgoing.setdefault(edge.source, []).append(edge.target)
    ready = [node for node in outgoing if node not in incoming]
    order: dict[Node, int] = {}
    while ready:
        node = ready.pop()
        order[node] = len(order)
        for target in outgoing.get(node, ()):
            incoming[target] -= 1
            if not incoming[target]:
                ready.append(target)
    return order


def plan(edges: Edges, order: Mapping[Node, int]) -> tuple[Step, ...]:
    """Take apart the paths between two nodes.

    Args:
        edges: All on the paths from one node to another.
        order: From `rank`, of these edges and maybe more.

    Returns:
        The steps, one after the other.
    """
    cuts = _cuts(edges, order)
    places = {node: place for place, node in enumerate(cuts)}
    between: list[list[Edge]] = [[] for _ in cuts[1:]]
    segment = -1
    sources: dict[Node, list[Edge]] = {}
    for edge in edges:
        sources.setdefault(edge.source, []).append(edge)
    for node in sorted(sources, key=order.__getitem__):
        segment = places.get(node, segment)
        between[segment] += sources[node]
    return tuple(
        _step(node, end, tuple(rows), order)
        for (node, end), rows in zip(pairwise(cuts), between, strict=True)
    )


def _cuts(edges: Edges, order: Mapping[Node, int]) -> list[Node]:
    """Return the nodes on all paths: where every edge that is open on the way leads to."""
    incoming = Counter(edge.target for edge in edges)
    outgoing = Counter(edge.source for edge in edges)
    cuts, count = [], 0
    for node in sorted(incoming.keys() | outgoing.keys(), key=order.__getitem__):
        if count == incoming[node]:
            cuts.append(node)
        count += outgoing[node] - incoming[node]
    return cuts


def _step(node: Node, end: Node, edges: Edges, order: Mapping[Node, int]) -> Step:
    last = _into(edges, end)
    parts = _parts(edges, node, end)
    if len(last) == len(edges):  # nothing but edges from the one to the other
        return Step(node, end, edges, last)
    if len(parts) == 1:  # paths that share operations: told apart by their ends alone
        paths = tuple(Path((edge,), (edge,), ()) for edge in last)
    else:
        paths = tuple(Path(part, _into(part, end), plan(part, order)) for part in parts)
    return Step(node, end, edges, last, paths)


def _into(edges: Iterable[Edge], end: Node) -> Edges:
    return tuple(edge for edge in edges if edge.target is end)


def _parts(edges: Sequence[Edge], node: Node, end: Node) -> list[Edges]:
    """Group edges by the operations that they share, other than the first and the last."""
    leader: dict[Node, Node] = {}

    def lead(member: Node) -> Node:
        while leader.setdefault(member, member) is not member:
            leader[member] = member = leader[leader[member]]
        return member

    for edge in edges:
        if edge.source is not node and edge.target is not end:
            leader[lead(edge.source)] = lead(edge.target)
    parts: dict[Node, list[Edge]] = {}
    for edge in edges:
        inner = edge.target if edge.source is node else edge.source
        parts.setdefault(None if inner is end else lead(inner), []).append(edge)
    return [tuple(part) for part in parts.values()]
