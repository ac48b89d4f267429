"""A pass of one batch through networks that are trained elsewhere: nothing of them changes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vanishing.errors import StudyError
from vanishing.recording.module_calls import CallMeasurement, ModuleCalls

LossFunction = Callable[[Any, Any], Tensor]


def uncompiled(network: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` was given, or the module itself."""
    original = network._modules.get("_orig_mod")
    return network if original is None else original


def is_compiled(network: nn.Module) -> bool:
    """Tell whether `torch.compile` or `nn.Module.compile` took it, or a part of it."""
    return any(
        module._compiled_call_impl is not None or uncompiled(module) is not module
        for module in network.modules()
    )


def probe(
    networks: Sequence[nn.Module], calls: Sequence[ModuleCalls], loss: Callable[[], Tensor]
) -> list[CallMeasurement | None]:
    """Compute a loss and its gradients, and record the calls of modules meanwhile.

    Parameters, their `grad`, buffers (running statistics) and the state of torch's random
    generators are afterwards as they were.

    Args:
        networks: All that may change.
        calls: Record the pass, and have not started.
        loss: Computes it, one number.

    Returns:
        What each of `calls` recorded.

    Raises:
        StudyError: If the loss is not one number, or depends on no parameter.
    """
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    devices = {p.device.index for p in parameters if p.device.type == "cuda"}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(sorted(devices)))
        stack.enter_context(_buffers_restored(networks))
        stack.enter_context(torch.enable_grad())
        for recorder in calls:
            recorder.start()
            stack.callback(recorder.remove)
        value = loss()
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise StudyError(
                "watch.probe: loss_function should return one number that depends on parameters"
            )
        # Not `backward`, which would change `grad` and call the hooks of DDP and of optimizers.
        torch.autograd.grad(value.reshape(()), parameters, allow_unused=True)
        return [recorder.read() for recorder in calls]


@contextmanager
def _buffers_restored(networks: Sequence[nn.Module]) -> Iterator[None]:
    buffers = [buffer for network in networks for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, values in zip(buffers, before, strict=True):
                buffer.copy_(values)
