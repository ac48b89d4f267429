"""Steps of parameters of which each process holds a part.

Such a parameter is a `DTensor`: `fully_shard` (FSDP2), also over copies (HSDP), and tensor
parallelism make them. What is recorded of a step are sums, maxima and counts, so those of the parts
add up to those of the whole: two collectives per traced step, whatever the number of parameters.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from vanishing.errors import StudyError
from vanishing.recording.step_trace import StepTrace
from vanishing.stats.fast import CELLS, Accumulation, scale_for


def is_sharded(tensor: Tensor) -> bool:
    """Tell whether a tensor is spread over processes, in parts or in copies."""
    module = sys.modules.get("torch.distributed.tensor")  # not loaded: no tensor is
    return module is not None and isinstance(tensor, module.DTensor)


def any_sharded(tensors: Iterable[Tensor]) -> bool:
    """Tell whether one of some tensors is spread over processes."""
    return any(map(is_sharded, tensors))


def whole(scalar: Tensor) -> Tensor:
    """Return a number that processes hold together, such as a total norm, as a plain tensor."""
    sharded: Any = scalar
    plain: Tensor = sharded.full_tensor() if is_sharded(scalar) else scalar
    return plain


def check_parts(parameters: Mapping[str, Tensor]) -> None:
    """Check that parameters are cut so that their parts add up, and all processes hold parts.

    Args:
        parameters: {name: parameter}.

    Raises:
        StudyError: If one is not.
    """
    for name, parameter in parameters.items():
        if not is_sharded(parameter):
            continue
        sharded: Any = parameter
        if any(placement.is_partial() for placement in sharded.placements):
            raise StudyError(
                f"watch: {name} is the sum of what processes hold ({sharded.placements}), so that"
                " its statistics are not sums of theirs; shard it, or hold it whole"
            )
        processes = distributed.get_world_size()
        if sharded.device_mesh.size() != processes:
            raise StudyError(
                f"watch: {name} is spread over {sharded.device_mesh.size()} of {processes}"
                " processes; watch a training in which each parameter is spread over all"
            )


class ShardedStepTrace(StepTrace):
    """Records one step of parameters of which some are sharded, on every process alike."""

    def part(self, parameter: Tensor) -> Tensor:
        """Return the part of a parameter that this process holds, or the parameter itself."""
        sharded: Any = parameter
        part: Tensor = sharded.to_local() if is_sharded(parameter) else parameter
        return part

    def take(self, parameter: Tensor, gradient: Tensor, scale: Tensor | None = None) -> None:
        """Take the part of a gradient that this process holds."""
        if is_sharded(gradient) and is_sharded(parameter):
            layout: Any = parameter
            laid_out: Any = gradient
            if laid_out.placements != layout.placements:  # such as a sum that is still to come
                gradient = laid_out.redistribute(placements=layout.placements)
        super().take(parameter, self.part(gradient), scale)

    def close(self) -> None:
        """Put the parts of all processes together: a maximum, and a sum, on each device."""
        by_device: dict[torch.device, list[Tensor]] = {}
        for parameter in self._parameters:
            by_device.setdefault(parameter.device, []).append(parameter)
        for device, parameters in by_device.items():
            self._reduce(device, parameters)

    def _reduce(self, device: torch.device, parameters: list[Tensor]) -> None:
        gradients = {
            index: self._gradients[parameter]
            for index, parameter in enumerate(parameters)
            if parameter in self._gradients and _counts(parameter)
        }
        # Compared as bits, whose order is that of the numbers, with NaN as the largest.
        bits = torch.zeros(len(parameters), dtype=torch.int32, device=device)
        for index, gradient in gradients.items():
            bits[index] = gradient.sums[4].float().view(torch.int32)
        distributed.all_reduce(bits, distributed.ReduceOp.MAX)
        largest = bits.view(torch.float32)
        scales = scale_for(largest).double()
        norms = 2 if self._updates else 1
        rows = torch.zeros(len(parameters), 5 + norms + CELLS, dtype=torch.float64, device=device)
        for index, gradient in gradients.items():
            total, magnitude, squares, scale, _ = gradient.sums
            squares = squares * (scales[index] / scale).square()
            numbers = torch.stack([torch.ones_like(total), total, magnitude, squares])
            square_sums, zeros = self._squares[parameters[index]], gradient.zeros.reshape(1)
            rows[index] = torch.cat([numbers, zeros, square_sums, gradient.cells])
        distributed.all_reduce(rows, distributed.ReduceOp.SUM)
        recorded = rows[:, 0].nonzero().flatten().tolist()  # of which some process had a gradient
        if recorded:
            self._pack(
                [parameters[index] for index in recorded],
                [
                    Accumulation(
                        torch.stack([*rows[index, 1:4], scales[index], largest[index].double()]),
                        rows[index, 4].long(),
                        rows[index, 5 + norms :].long(),
                        parameters[index].numel() * (2 if parameters[index].is_complex() else 1),
                    )
                    for index in recorded
                ],
                rows[recorded, 5 : 5 + norms],
            )


def _counts(parameter: Tensor) -> bool:
    # Of copies the first one counts; a tensor that is not spread over processes is one on each.
    if not is_sharded(parameter):
        return distributed.get_rank() == 0
    sharded: Any = parameter
    places = zip(sharded.device_mesh.get_coordinate(), sharded.placements, strict=True)
    return all(place == 0 for place, placement in places if placement.is_replicate())
