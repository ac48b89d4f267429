"""The forward passes before a traced step, and which of the calls in them count.

A call counts once a gradient has reached its output. So these do not: passes under `no_grad` or
`inference_mode`, a forward pass without a backward pass, what is computed anew for a checkpointed
block.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from vanishing.recording.sharding import is_sharded


class Place(NamedTuple):
    """Where a module stands in its network: see `NamedParameter`."""

    layer_index: int
    layer: str


class Call(Protocol):
    """A call of something.

    Attributes:
        place: Of the module that was called.
        number: Of the call among all, in the order in which they end.
        pass_number: Of the forward pass; another one begins after a backward pass.
    """

    place: Place
    number: int
    pass_number: int


_Call = TypeVar("_Call", bound=Call)


class Passes:
    """Numbers calls and passes, and knows which calls a gradient has reached."""

    def __init__(self) -> None:
        self._count = 0  # of calls
        self._pass_number = 0
        # A call belongs to the hooks of its outputs until a gradient comes, and goes with the graph
        # if none does: passes without a backward pass would pile up.
        self._counted: dict[int, Call] = {}  # by number
        self._gradient_came = False
        self._passes_before: int | None = None  # the optimizer's step: the last one's number

    def next_call(self) -> tuple[int, int]:
        """Return the number of a call that ends now, and that of its pass."""
        if self._gradient_came and torch._C._current_graph_task_id() == -1:
            self._gradient_came = False  # this is no recomputation within the backward pass
            self._pass_number += 1
        self._count += 1
        return self._count, self._pass_number

    def await_gradient(self, call: Call, output: Tensor) -> None:
        """Count a call when a gradient reaches its output."""
        output.register_hook(functools.partial(self._reached, call))  # type: ignore[no-untyped-call]

    def begin_step(self) -> None:
        """Take the passes since the last reading for micro-batches: the optimizer begins its step.

        Passes that come now are evaluations of the optimizer's closure; of these the last counts.
        """
        self._passes_before = self._pass_number - (not self._gradient_came)

    def counted(self) -> list[Call]:
        """Return the calls that count, in the order of the forward passes."""
        calls = [call for _, call in sorted(self._counted.items())]
        last = max((call.pass_number for call in calls), default=0)
        before = last if self._passes_before is None else self._passes_before
        return [call for call in calls if call.pass_number <= before or call.pass_number == last]

    def forget(self) -> None:
        """Forget all calls."""
        self._counted = {}
        self._gradient_came = False
        self._passes_before = None

    def _reached(self, call: Call, _gradient: Tensor) -> None:
        self._gradient_came = True
        self._counted[call.number] = call


def by_place(calls: Sequence[_Call]) -> dict[Place, list[_Call]]:
    """Return {place: its calls}, in the order of the forward pass.

    The second call of a module in a forward pass is `layer#2`; calls of the same number in several
    passes, those of micro-batches, belong together.
    """
    counts: dict[tuple[Place, int], int] = {}
    places: dict[Place, list[_Call]] = {}
    for call in calls:
        number = counts[call.place, call.pass_number] = (
            counts.get((call.place, call.pass_number), 0) + 1
        )
        name = call.place.layer if number == 1 else f"{call.place.layer}#{number}"
        places.setdefault(Place(call.place.layer_index, name), []).append(call)
    return places


def is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is dense, with elements, and all of it is in this process."""
    return tensor.layout == torch.strided and not is_sharded(tensor) and tensor.numel() > 0


def takes_gradient(tensor: Tensor) -> bool:
    """Tell whether a tensor is a plain one, to which a gradient may come."""
    return is_plain(tensor) and tensor.requires_grad
