"""The device that a stage computes on."""

import torch

from stages.core.errors import StudyError


def resolve(name: str) -> torch.device:
    """Turn `train.device` into a device: `auto` is a GPU where torch sees one, else the CPU.

    Returns:
        The device.

    Raises:
        StudyError: If `cuda` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise StudyError("params.yaml: train.device: cuda, but torch sees no GPU; use auto or cpu")
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)
