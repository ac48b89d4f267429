"""The device that a stage computes on."""

import platform
import resource

import torch

from vanishing.errors import StudyError


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


def describe(device: torch.device) -> str:
    """Name the GPU, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory that torch took on the GPU, or else that the process took."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
