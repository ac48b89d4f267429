"""What PyTorch has no hooks for: norms before clipping, and what a GradScaler does.

While there are listeners, functions of torch are wrapped: the one that all ways of clipping by the
norm end in, under whatever name a program imported theirs; `GradScaler.step`, which does not call
the optimizer's step at all if a gradient is infinite or NaN; and `scale` and `update`, between
which losses are scaled. No wrapper reads from the device. With the last listener torch's own
functions are back.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.optim import Optimizer

_CLIPPING = "_clip_grads_with_norm_"  # called by clip_grad_norm_; its public name has no underscore


class Listener(Protocol):
    """Hears of what happens to one optimizer.

    Attributes:
        optimizer: Which one.
        attempted: How many steps it has tried to take.
    """

    optimizer: Optimizer
    attempted: int

    def clipped(self, parameters: Sequence[Tensor], total_norm: Tensor) -> object:
        """Gradients, of whatever optimizer, are scaled down if `total_norm` is above a limit."""

    def skipped(self) -> object:
        """A scaler did not call the optimizer's step."""


_listeners: list[Listener] = []
_loss_scales: list[Tensor] = []  # the one that counts now, or none
_originals: list[tuple[Any, str, Any, Any]] = []  # place, name, torch's function, the wrapper


def listen(listener: Listener) -> None:
    """Let a listener hear of what happens from now on."""
    if not _listeners:
        clip = getattr(clip_grad, _CLIPPING)
        for place, name in ((clip_grad, _CLIPPING), (torch.nn.utils, _CLIPPING.removeprefix("_"))):
            _wrap(place, name, _clipping(clip), clip)
        for name, wrapping in (("scale", _scaling), ("step", _stepping), ("update", _updating)):
            function = getattr(torch.amp.GradScaler, name)
            _wrap(torch.amp.GradScaler, name, wrapping(function), function)
    _listeners.append(listener)


def ignore(listener: Listener) -> None:
    """Let a listener hear of nothing more."""
    _listeners.remove(listener)
    if not _listeners:
        for place, name, original, wrapper in _originals:
            # Where somebody wrapped the wrapper, it stays, and has nobody to tell.
            if vars(place)[name] is wrapper:
                setattr(place, name, original)
        _originals.clear()
        _loss_scales.clear()


def loss_scale() -> Tensor | None:
    """Return the scale of the losses whose gradients are computed now; None if they have none."""
    return _loss_scales[0] if _loss_scales else None


def _wrap(place: Any, name: str, wrapper: Any, original: Any) -> None:
    _originals.append((place, name, original, wrapper))
    setattr(place, name, wrapper)


def _clipping(original: Any) -> Any:
    @functools.wraps(original)
    def clip(
        parameters: Tensor | Iterable[Tensor],
        max_norm: float,
        total_norm: Tensor,
        foreach: bool | None = None,
    ) -> Any:
        given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        for listener in _listeners:
            listener.clipped(given, total_norm)
        return original(given, max_norm, total_norm, foreach)

    return clip


def _stepping(original: Any) -> Any:
    @functools.wraps(original)
    def step(scaler: Any, optimizer: Optimizer, *arguments: Any, **options: Any) -> Any:
        listeners = [listener for listener in _listeners if listener.optimizer is optimizer]
        counts = [listener.attempted for listener in listeners]
        result = original(scaler, optimizer, *arguments, **options)
        for listener, count in zip(listeners, counts, strict=True):
            if listener.attempted == count:
                listener.skipped()
        return result

    return step


def _scaling(original: Any) -> Any:
    @functools.wraps(original)
    def scale(scaler: Any, outputs: Any) -> Any:
        result = original(scaler, outputs)
        _loss_scales[:] = [scaler._scale] if scaler.is_enabled() else []
        return result

    return scale


def _updating(original: Any) -> Any:
    @functools.wraps(original)
    def update(scaler: Any, *arguments: Any, **options: Any) -> Any:
        _loss_scales.clear()
        return original(scaler, *arguments, **options)

    return update
