"""What one step of an optimizer does: its gradients, the weights before it, and their update.

Whoever drives the optimizer calls `before` and `after` for each parameter. Hooks around
`optimizer.step` call `before` for all parameters and then `after` for all; an optimizer that steps
each parameter within the backward pass calls both around that parameter's own step, and then never
more than one copy of a parameter exists. `read` ends the step with one transfer per device.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishing.stats.fast import (
    PACKED_LENGTH,
    Accumulation,
    Summary,
    accumulate,
    pack,
    split,
    summarize_packed,
)

_SAFE_SQUARES = (
    2.0**-80,
    2.0**80,
)  # of a sum in float32: no square that matters has left its range


@dataclass(frozen=True, eq=False)
class Measurement:
    """The numbers of one step, on the host.

    Attributes:
        parameters: Those that had a gradient.
        numbers: (parameters, PACKED_LENGTH + norms), float64: the row of `stats.fast.pack`, then
            the norms.
    """

    parameters: list[Tensor]
    numbers: NDArray[np.float64]

    @functools.cached_property
    def gradients(self) -> Summary:
        """Statistics and histograms of the gradients, one row per parameter."""
        return summarize_packed(self.numbers[:, :PACKED_LENGTH])

    @property
    def norms(self) -> NDArray[np.float64]:
        """The l2 norm of the values before the step and, with updates, of W_before - W_after.

        Of shape (parameters, 1 or 2).
        """
        return self.numbers[:, PACKED_LENGTH:]


class StepTrace:
    """Records one step of some parameters, and passes over others.

    A complex tensor counts as its real view: real and imaginary parts are two elements. Half
    precision is widened to float32 first, float64 is rounded to it for gradients. A sparse
    gradient has the statistics of the dense one, its zeros included.

    Nothing is read from a GPU before `read`: what comes before it, up to `close`, may be captured
    in a CUDA graph, and `read` then reads the numbers of its last replay.

    Args:
        parameters: Which ones are recorded, in the order of the measurement.
        updates: Whether updates are recorded, for which a copy of each parameter lives from
            `before` to `after`.
    """

    def __init__(self, parameters: Collection[Tensor], updates: bool = True) -> None:
        self._parameters = parameters
        self._updates = updates
        self._gradients: dict[Tensor, Accumulation] = {}
        self._values: dict[Tensor, Tensor] = {}  # before the step
        self._squares: dict[Tensor, Tensor] = {}  # see `_sums_of_squares`
        self._packed: dict[tuple[Tensor, ...], Tensor] = {}  # {parameters of a device: numbers}

    @torch.no_grad()
    def before(self, parameter: Tensor, gradient: Tensor | None) -> None:
        """Take a parameter's gradient, where it is known already, and its values."""
        if parameter not in self._parameters:
            return
        if gradient is not None:
            self.take(parameter, gradient)
        values = self.part(parameter).detach()
        if self._updates:
            self._values[parameter] = values.clone()
        else:
            self._squares[parameter] = _sums_of_squares(values)

    @torch.no_grad()
    def take(self, parameter: Tensor, gradient: Tensor, scale: Tensor | None = None) -> None:
        """Take a gradient.

        Args:
            parameter: Whose gradient it is.
            gradient: Dense or sparse.
            scale: What it is divided by first: the optimizer has yet to do so.
        """
        self._gradients[parameter] = accumulate_any(gradient, scale)

    @torch.no_grad()
    def after(self, parameter: Tensor) -> None:
        """Take the update of a parameter of which `before` took the values."""
        values = self._values.pop(parameter, None)
        if values is not None:
            self._squares[parameter] = _sums_of_squares(values, self.part(parameter))

    def part(self, parameter: Tensor) -> Tensor:
        """Return the part of a parameter that this process holds: all of it."""
        return parameter

    def close(self) -> None:
        """Put the step's numbers together, on each device; nothing more is taken."""
        by_device: dict[torch.device, list[Tensor]] = {}
        for parameter in self._parameters:
            if parameter in self._gradients:
                by_device.setdefault(parameter.device, []).append(parameter)
        for parameters in by_device.values():
            self._pack(
                parameters,
                [self._gradients[parameter] for parameter in parameters],
                torch.stack([self._squares[parameter] for parameter in parameters]),
            )

    def _pack(
        self, parameters: list[Tensor], gradients: list[Accumulation], squares: Tensor
    ) -> None:
        """Put the numbers of parameters together that are on one device.

        Args:
            parameters: Which ones.
            gradients: One per parameter.
            squares: (parameters, 1 or 2), as from `_sums_of_squares`.
        """
        self._packed[tuple(parameters)] = torch.cat([pack(gradients), squares.sqrt()], 1)

    def read(self) -> Measurement | None:
        """Copy the numbers of a closed step from each device at once.

        Returns:
            The numbers; None if nothing had a gradient.
        """
        numbers: dict[Tensor, NDArray[np.float64]] = {}
        for parameters, packed in self._packed.items():
            numbers.update(zip(parameters, packed.cpu().numpy(), strict=True))
        recorded = [parameter for parameter in self._parameters if parameter in numbers]
        if not recorded:
            return None
        return Measurement(recorded, np.stack([numbers[parameter] for parameter in recorded]))


def accumulate_any(gradient: Tensor, scale: Tensor | None = None) -> Accumulation:
    """Accumulate a gradient of any layout, type and size; see `StepTrace`.

    Args:
        gradient: Dense or sparse.
        scale: What it is divided by first.

    Returns:
        The sums and counts of all elements.
    """
    values = gradient.detach()
    if values.layout != torch.strided:
        values = values.coalesce().values()
    if not values.numel():  # a zero stands for all, and is taken off again below
        values = values.new_zeros(1)
    accumulation = accumulate(_real(values), scale)
    size = gradient.numel() * (2 if gradient.is_complex() else 1)
    missing = size - accumulation.size
    if missing:
        zeros = accumulation.zeros + missing  # before the cells change, of which it may be a view
        accumulation.cells[0] += missing
        accumulation = accumulation._replace(zeros=zeros, size=size)
    return accumulation


def _real(values: Tensor) -> Tensor:
    """Return a tensor's real numbers, in one dimension."""
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    return values.detach().reshape(-1)


def _sums_of_squares(values: Tensor, later: Tensor | None = None) -> Tensor:
    """Return Σ values², and Σ (values - later)² where `later` is given, which overwrites `values`.

    Returns:
        (1 or 2,), float64.
    """
    parts = split(_real(values))
    if later is None:
        rows = [[_square(part)] for part in parts]
    else:
        rows = [
            [_square(part), _square(_difference(part, later_part))]
            for part, later_part in zip(parts, split(_real(later)), strict=True)
        ]
    sums = torch.stack([torch.stack(row) for row in rows])
    return sums[0] if len(sums) == 1 else sums.sum(0)


def _difference(values: Tensor, later: Tensor) -> Tensor:
    """Return values - later, in float32 or float64; overwrites `values` if it is of that type."""
    wide = values if values.dtype in {torch.float32, torch.float64} else values.float()
    return wide.sub_(later)


def _square(values: Tensor) -> Tensor:
    """Return Σ values², (), float64."""
    if values.is_cpu and values.dtype == torch.float32:
        square = torch.dot(values, values)
        if _SAFE_SQUARES[0] < square.item() < _SAFE_SQUARES[1]:
            return square.double()
    wide = values.double()
    return torch.dot(wide, wide)
