"""What one step of an optimizer does: its gradients, the weights before it, and their update.

Whoever drives the optimizer calls `before` and `after` for each parameter. Hooks around
`optimizer.step` call `before` for all parameters and then `after` for all; an optimizer that steps
each parameter within the backward pass calls both around that parameter's own step, and then never
more than one copy of a parameter exists. `read` ends the step with one transfer per device.
"""

import functools
from collections.abc import Collection, Sequence
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
    summarize_packed,
)

# Elements that are looked at together. What is computed of them on the way needs a few times their
# memory; on the CPU it then stays in the cache, on a GPU calls of kernels stay few.
_PART_OF_CPU = 2**18
_PART_OF_GPU = 2**24


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
        self._norms: dict[Tensor, Tensor] = {}  # see `_l2_norms`
        self._packed: dict[tuple[Tensor, ...], Tensor] = {}  # {parameters of a device: numbers}

    @torch.no_grad()
    def before(self, parameter: Tensor, gradient: Tensor | None) -> None:
        """Take a parameter's gradient, where it is known already, and its values."""
        if parameter not in self._parameters:
            return
        if gradient is not None:
            self.take(parameter, gradient)
        if self._updates:
            self._values[parameter] = parameter.detach().clone()
        else:
            self._norms[parameter] = _l2_norms(parameter)

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
            self._norms[parameter] = _l2_norms(values, parameter)

    def close(self) -> None:
        """Put the step's numbers together, on each device; nothing more is taken."""
        by_device: dict[torch.device, list[Tensor]] = {}
        for parameter in self._parameters:
            if parameter in self._gradients:
                by_device.setdefault(parameter.device, []).append(parameter)
        for parameters in by_device.values():
            packed = pack([self._gradients[parameter] for parameter in parameters])
            norms = torch.stack([self._norms[parameter] for parameter in parameters])
            self._packed[tuple(parameters)] = torch.cat([packed, norms], 1)

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
    """Accumulate a gradient of any layout and type; see `StepTrace`.

    Args:
        gradient: Dense or sparse, with at least one element.
        scale: What it is divided by first.

    Returns:
        The sums and counts of all elements.
    """
    values = gradient.detach()
    if values.layout != torch.strided:
        values = values.coalesce().values()
        if not values.numel():  # a single zero stands for all
            values = values.new_zeros(1)
    parts = [
        accumulate(part if scale is None else part.float() / scale.to(part.device))
        for part in _parts(values)
    ]
    accumulation = parts[0] if len(parts) == 1 else _join(parts)
    size = gradient.numel() * (2 if gradient.is_complex() else 1)
    missing = size - accumulation.size
    if missing:
        zeros = accumulation.zeros + missing  # before the cells change, of which it may be a view
        accumulation.cells[0] += missing
        accumulation = accumulation._replace(zeros=zeros, size=size)
    return accumulation


def _join(parts: Sequence[Accumulation]) -> Accumulation:
    """Join the accumulations of a tensor's parts into that of the tensor."""
    sums = torch.stack([part.sums for part in parts]).double()  # (parts, 5)
    total, magnitude, squares, scale, largest = sums.unbind(1)
    joint = scale.gather(0, largest.argmax(keepdim=True))  # that of the largest element
    return Accumulation(
        sums=torch.stack(
            [
                total.sum(),
                magnitude.sum(),
                (squares * (joint / scale).square()).sum(),
                joint.squeeze(),
                largest.max(),
            ]
        ).float(),
        zeros=torch.stack([part.zeros for part in parts]).sum(),
        cells=functools.reduce(torch.add, [part.cells for part in parts]),
        size=sum(part.size for part in parts),
    )


def _parts(values: Tensor) -> tuple[Tensor, ...]:
    """Cut a tensor, as real numbers in one dimension, into parts of bounded size."""
    real = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    size = _PART_OF_CPU if values.is_cpu else _PART_OF_GPU
    return torch.split(real.reshape(-1), size)


def _l2_norms(values: Tensor, later: Tensor | None = None) -> Tensor:
    """Return the l2 norm of `values`, and that of `values` - `later`, where it is given.

    Returns:
        (1 or 2,), float64.
    """
    squares = []
    others = _parts((values if later is None else later).detach())
    for part, later_part in zip(_parts(values.detach()), others, strict=True):
        wide = _widen(part)
        squares.append([torch.dot(wide, wide)])
        if later is not None:
            difference = wide - _widen(later_part)
            squares[-1].append(torch.dot(difference, difference))
    return torch.stack([torch.stack(row) for row in squares]).double().sum(0).sqrt()


def _widen(values: Tensor) -> Tensor:
    """Return a tensor in which differences and squares of half precision are exact enough."""
    return values if values.dtype in {torch.float32, torch.float64} else values.float()
