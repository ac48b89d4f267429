"""Attention by head: q, k, v, the output, their gradients, and the entropy.

While a module is being called in a pass that is recorded, two functions of torch are wrapped:
`scaled_dot_product_attention`, and `multi_head_attention_forward`, within which
`nn.MultiheadAttention` multiplies by hand if it returns weights. They are wrapped for no longer,
since what `torch.compile` made holds them to be torch's own. A call belongs to the innermost module
that is being called.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from vanishing.recording import interception
from vanishing.recording.call_hooks import CallHooks
from vanishing.recording.passes import Passes, Place, by_place, takes_gradient
from vanishing.stats.attention import Attention, entropy_sums, entropy_sums_of_scores

QUERY, KEY, VALUE, OUTPUT = "query", "key", "value", "output"
ENTROPY = "entropy"
_PROJECTIONS = (QUERY, KEY, VALUE)
_AT_ONCE = 2**18  # elements that are widened to float64 at once


@dataclasses.dataclass(eq=False)
class HeadCall:
    """A call of attention.

    Attributes:
        place: Of the module.
        number: See `passes.Call`.
        pass_number: Likewise.
        squares: {tensor: (heads, 2), sums of squares and numbers of elements}.
        entropies: As from `entropy_sums`; None where the mask is none of plain numbers.
    """

    place: Place
    number: int
    pass_number: int
    squares: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    entropies: Tensor | None = None

    def take(self, tensor: str, values: Tensor) -> None:
        """Take a tensor whose first axis is that of the heads."""
        sums = _squares(values.detach())
        before = self.squares.get(tensor)
        self.squares[tensor] = sums if before is None else before + sums

    def sums(self) -> dict[str, Tensor]:
        """Return all sums by tensor."""
        return self.squares | ({} if self.entropies is None else {ENTROPY: self.entropies})


Heads = dict[Place, dict[tuple[str, str], NDArray[np.float64]]]  # {(tensor, statistic): (heads,)}


class AttentionCalls(CallHooks):
    """Records the calls of attention in some modules.

    Args:
        callers: {module: its place} of modules that may call it.
        passes: Numbers the calls, together with those of modules.
    """

    def __init__(self, callers: Mapping[nn.Module, Place], passes: Passes) -> None:
        super().__init__()
        self._callers = callers
        self._passes = passes

    def _attach(self) -> Iterator[RemovableHandle]:
        for module in self._callers:
            yield module.register_forward_pre_hook(self._enter)
            yield module.register_forward_hook(self._leave)

    def remove(self) -> None:
        """Remove the hooks."""
        super().remove()
        _leave_all(self)

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        if self._records():
            _push(self, module)

    def _leave(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        if not torch.compiler.is_compiling():
            _pop(module)

    def begin_call(self, module: nn.Module, output: Tensor) -> HeadCall:
        """Begin the record of a call, whose output awaits a gradient."""
        call = HeadCall(self._callers[module], *self._passes.next_call())
        self._passes.await_gradient(call, output)
        return call


def measure(calls: Sequence[HeadCall]) -> Heads:
    """Copy the calls that count from their devices; micro-batches are joined.

    Returns:
        {place: {(tensor, statistic): a number for each head}}: the `rms` of query, key, value and
        output and of their gradients, and the `entropy` and `normalised_entropy` of `attention`.
    """
    heads: Heads = {}
    for place, group in by_place(calls).items():
        joined: dict[str, Tensor] = {}
        for call in group:
            for tensor, sums in call.sums().items():
                joined[tensor] = joined[tensor] + sums if tensor in joined else sums
        numbers = iter(torch.cat([sums.flatten() for sums in joined.values()]).cpu().numpy())
        rows: dict[tuple[str, str], NDArray[np.float64]] = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for tensor, sums in joined.items():
                of_heads = np.array([next(numbers) for _ in range(sums.numel())])
                total = of_heads.reshape(sums.shape)
                if tensor == ENTROPY:
                    rows["attention", "entropy"] = total[:, 0] / total[:, 1]
                    rows["attention", "normalised_entropy"] = total[:, 2] / total[:, 3]
                else:
                    rows[tensor, "rms"] = np.sqrt(total[:, 0] / total[:, 1])
        heads[place] = rows
    return heads


# The modules that are being called, and who records them; the innermost one is the last.
_stack: list[tuple[nn.Module, AttentionCalls]] = []
_originals: dict[str, Any] = {}  # torch's functions while they are wrapped


def _push(recorder: AttentionCalls, module: nn.Module) -> None:
    _pop(module)  # an exception may have left it here
    _stack.append((module, recorder))
    if not _originals:
        for name, wrapping in (
            ("scaled_dot_product_attention", _attending),
            ("multi_head_attention_forward", _attending_by_hand),
        ):
            original = _originals[name] = getattr(functional, name)
            setattr(functional, name, wrapping(original))


def _pop(module: nn.Module) -> None:
    """Take a module from the stack, with all within it."""
    index = next((i for i, (entered, _) in enumerate(_stack) if entered is module), len(_stack))
    _keep(_stack[:index])


def _leave_all(recorder: AttentionCalls) -> None:
    _keep([entry for entry in _stack if entry[1] is not recorder])


def _keep(entries: list[tuple[nn.Module, AttentionCalls]]) -> None:
    _stack[:] = entries
    if not _stack:
        for name, original in _originals.items():
            setattr(functional, name, original)
        _originals.clear()


def _attending(original: Any) -> Any:
    @functools.wraps(original)
    def attend(*arguments: Any, **options: Any) -> Any:
        output = original(*arguments, **options)
        if _stack and takes_gradient(output):
            _record(*arguments, output=output, **options)
        return output

    return attend


def _record(  # noqa: PLR0913 - the arguments of torch's function
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - of which the output has taken notice
    is_causal: bool = False,
    *,
    output: Tensor,
    scale: float | None = None,
    enable_gqa: bool = False,  # noqa: ARG001 - which the shapes tell
) -> None:
    module, recorder = _stack[-1]
    call = recorder.begin_call(module, output)
    for name, tensor in ((QUERY, query), (KEY, key), (VALUE, value), (OUTPUT, output)):
        call.take(name, _head_first(tensor))
        _await(tensor, functools.partial(_take_gradient, call, name))
    if attn_mask is None or type(attn_mask) in {Tensor, nn.Parameter}:
        call.entropies = entropy_sums(
            Attention(query.detach(), key.detach(), attn_mask, is_causal, scale)
        )


def _take_gradient(call: HeadCall, name: str, gradient: Tensor) -> None:
    call.take(f"{name}_gradient", _head_first(_unscaled(gradient)))


def _attending_by_hand(original: Any) -> Any:
    @functools.wraps(original)
    def attend(*arguments: Any, **options: Any) -> Any:
        if not _stack or not options.get("need_weights", True):
            return original(*arguments, **options)  # it calls scaled_dot_product_attention
        with _ByHand(heads=arguments[4]) as record:
            results = original(*arguments, **options)
        if takes_gradient(results[0]):
            record.end(results[0])
        return results

    return attend


class _ByHand:
    """Sees `multi_head_attention_forward`: linear in-projections, softmax, linear out-projection.

    The in-projections' outputs have, side by side, the queries, keys and values of all heads; how
    many calls there are depends on which of them come from the same input.
    """

    def __init__(self, heads: int) -> None:
        self._heads = heads
        self._linear: Any = functional.linear
        self._softmax = functional.softmax
        self._projections: list[Tensor] = []
        self._inputs: list[Tensor] = []
        self._entropies: Tensor | None = None

    def __enter__(self) -> "_ByHand":
        functional.linear = self._see_linear  # type: ignore[assignment]
        functional.softmax = self._see_softmax  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        functional.linear = self._linear
        functional.softmax = self._softmax

    def end(self, output: Tensor) -> None:
        """Record what was seen; the output of the last projection awaits a gradient."""
        module, recorder = _stack[-1]
        call = recorder.begin_call(module, output)
        call.entropies = self._entropies
        waiting = list(_PROJECTIONS)
        width = self._inputs[-1].shape[-1]
        for projection in self._projections[:-1]:
            count = projection.shape[-1] // width
            names, waiting = waiting[:count], waiting[count:]
            self._take(call, names, projection)
        self._take(call, [OUTPUT], self._inputs[-1])

    def _take(self, call: HeadCall, names: Sequence[str], tensor: Tensor) -> None:
        """Take tensors that stand side by side in one, and await their gradients."""
        heads = self._heads

        def take(suffix: str, values: Tensor) -> None:
            shape = (*values.shape[:-1], len(names), heads, -1)
            parts = values.reshape(shape).movedim((-3, -2), (0, 1))
            for name, part in zip(names, parts, strict=True):
                call.take(f"{name}{suffix}", part)

        take("", tensor)
        _await(tensor, lambda gradient: take("_gradient", _unscaled(gradient)))

    def _see_linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        output: Tensor = self._linear(inputs, weight, bias)
        self._inputs.append(inputs)
        self._projections.append(output)
        return output

    def _see_softmax(self, scores: Tensor, *arguments: Any, **options: Any) -> Tensor:
        by_head = scores.detach().reshape(-1, self._heads, *scores.shape[1:])
        wide = by_head.to(torch.promote_types(scores.dtype, torch.float32))
        self._entropies = entropy_sums_of_scores(wide)
        return self._softmax(scores, *arguments, **options)


def _await(tensor: Tensor, take: Any) -> None:
    """Let a function take the gradient of a tensor, when it comes."""
    if takes_gradient(tensor):
        tensor.register_hook(take)  # type: ignore[no-untyped-call]


def _unscaled(gradient: Tensor) -> Tensor:
    scale = interception.loss_scale()
    return gradient if scale is None else gradient / scale


def _head_first(values: Tensor) -> Tensor:
    """Return values of (…, heads, positions, width) as (heads, …); without heads there is one."""
    return values.movedim(-3, 0) if values.dim() > 3 else values.unsqueeze(0)  # noqa: PLR2004


def _squares(values: Tensor) -> Tensor:
    """Return (heads, 2), float64: the sum of the squares, and the number of elements."""
    heads = values.shape[0]
    sums = torch.zeros(heads, dtype=torch.float64, device=values.device)
    rows = max(1, _AT_ONCE * values.shape[1] // max(1, values.numel()))
    for part in torch.split(values, rows, dim=1):
        sums += part.double().square().flatten(1).sum(1)
    count = values.numel() // heads
    return torch.stack([sums, torch.full_like(sums, count)], dim=1)
