"""Which units of a layer give one value for all examples, of tensors that come one after another.

Units and their shares are those of `units.fraction_dead` and `units.fraction_constant`, which need
all examples at once. A watch sees micro-batches: it keeps of each what `join` needs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SMALL = 2**14  # elements that are compared in the time that a choice takes
_FIRST = 16  # values of a unit that are looked at first
_GROWTH = 8  # how many times as many are looked at next


class Constants(NamedTuple):
    """What is known of the units of one tensor.

    Attributes:
        first: (units,), the value for the first example and position.
        constant: (units,), bool: whether all examples and positions have it; not where it is NaN.
    """

    first: Tensor
    constant: Tensor


def find_constants(values: Tensor) -> Constants:
    """Look for the units of a tensor that have one value.

    On the host they are looked for among a few examples first, and then only those that are left
    among more: in most layers that is a few per cent of the elements. On a device, where a choice
    would wait for it, all elements are compared.

    Args:
        values: (examples, units, …), at least one element.

    Returns:
        On the device of the values, and independent of what is written into these later.
    """
    values = values.detach()
    first = values[0]
    while first.dim() > 1:
        first = first[:, 0]
    first = first.clone()
    if not values.is_cpu or values.numel() <= _SMALL:
        return Constants(first, _all_equal(values, first))
    left = torch.arange(len(first))  # the units that have shown one value so far
    start, count = 0, max(1, _FIRST * len(values) * len(first) // values.numel())
    while start < len(values) and len(left):
        part = values[start : start + count]
        if len(left) < len(first):
            part = part.index_select(1, left)
        left = left[_all_equal(part, first[left])]
        start, count = start + count, _GROWTH * count
    constant = torch.zeros(len(first), dtype=torch.bool)
    constant[left] = True
    return Constants(first, constant)


def join(parts: Sequence[Constants]) -> Constants:
    """Join what is known of several tensors of the same units, on one device."""
    first, constant = parts[0]
    for part in parts[1:]:
        constant = constant & part.constant & (part.first == first)
    return Constants(first, constant)


def shares(constants: Constants) -> Tensor:
    """Return (2,), float64: `fraction_dead` and `fraction_constant`; dead units are constant."""
    dead = constants.constant & (constants.first == 0)
    return torch.stack([dead, constants.constant]).double().mean(1)


def _all_equal(values: Tensor, first: Tensor) -> Tensor:
    """Tell which units, (units,), have a value everywhere in (examples, units, …)."""
    equal = values == first.view(-1, *(1,) * (values.dim() - 2))
    return equal.all(dim=tuple(axis for axis in range(values.dim()) if axis != 1))
