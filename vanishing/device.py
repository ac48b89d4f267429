"""The device that a stage computes on: the CPU or a GPU."""

import platform
import resource

import torch

from vanishing.errors import StudyError


def resolve(name: str) -> torch.device:
    """Find the device that `train.device` names; `auto` is a GPU if torch sees one, else the CPU.

    Returns:
        The device.

    Raises:
        StudyError: If `cuda` is named and torch sees no GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise StudyError("params.yaml: train.device: cuda, but torch sees no GPU; use auto or cpu")
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return the name of the GPU, or the architecture of the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory of torch on the GPU, or of the process where the device is the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
