"""The precision in which a network is passed forward and backward."""

from contextlib import AbstractContextManager, nullcontext

import torch

from vanishing.params.study import Precision


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context of a forward pass: of bfloat16 automatic mixed precision.

    Weights are cast anew at each use, since a cached copy would not follow within a CUDA graph.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
