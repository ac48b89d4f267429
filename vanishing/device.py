"""The device that a stage computes on: the CPU or a GPU."""

import platform
import resource

import torch

from vanishing.errors import StudyError, in_one_line


def resolve(name: str) -> torch.device:
    """Find the device that `train.device` names; `auto` is a GPU if torch sees one, else the CPU.

    Returns:
        The device.

    Raises:
        StudyError: If `cuda` is named and torch sees no GPU, or if torch sees a GPU and cannot
            compute on it. `auto` does not turn to the CPU then: a GPU that fails now and then would
            leave a study whose runs are of two devices.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise StudyError("params.yaml: train.device: cuda, but torch sees no GPU; use auto or cpu")
    if name == "auto":
        name = "cuda" if available else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        try:
            torch.ones(1, device=device).sum().item()
        except (RuntimeError, AssertionError) as error:  # no kernel, driver or memory for it
            raise StudyError(
                f"params.yaml: train.device: torch sees a GPU, but cannot compute on it"
                f" ({in_one_line(error)}); use cpu, or a torch that supports this GPU"
            ) from None
    return device


def describe(device: torch.device) -> str:
    """Return the name of the GPU, or the architecture of the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def machine(device: torch.device) -> dict[str, str | int]:
    """Return all of the machine that decides about the last digits of results.

    Returns:
        `device` as in `describe`, `instructions` (the CPU's vector instructions that torch uses),
        `threads` and the version of `torch`.
    """
    return {
        "device": describe(device),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory of torch on the GPU, or of the process where the device is the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
