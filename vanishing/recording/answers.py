"""Inputs and outputs of whole networks in the passes before a traced step, and what they say.

Of each pass that a gradient reaches: the statistics of the first floating-point input; whether the
outputs depend on the example; and, where the loss is a cross-entropy of a softmax, labels and scale
(`stats.answers`). When the first gradient of a step comes, parameters' `grad` tell whether somebody
has reset them since the last step.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vanishing.recording import interception
from vanishing.recording.passes import Passes, Place, takes_gradient
from vanishing.recording.sharding import is_sharded
from vanishing.recording.step_trace import accumulate_any
from vanishing.recording.tensors import tensors
from vanishing.stats import answers
from vanishing.stats.fast import Accumulation, join

INPUT, OUTPUT = "input", "output"  # tensors of the trace
DEPENDENCE, KEPT = "dependence", "gradient_kept"  # statistics of the output
_GRADS = 8  # that are looked at: who resets one resets all
_ELEMENTS = 2**20  # of outputs that are looked at: the logits of a language model are many


Answers = dict[Place, dict[str, float]]  # {network: {statistic of its outputs: value}}


@dataclass(eq=False)
class Answer:
    """A pass through a network.

    Attributes:
        place: Of the network.
        number: See `passes.Call`.
        pass_number: Likewise.
        inputs: Of the first floating-point input; None without one.
        numbers: {statistic: (), float64} of the outputs.
        kept: Whether gradients were there before those of this step; None where nobody looked.
    """

    place: Place
    number: int
    pass_number: int
    inputs: Accumulation | None
    numbers: dict[str, Tensor] = field(default_factory=dict)
    kept: Tensor | None = None


class AnswerCalls:
    """Records the passes through some networks.

    Args:
        networks: {network: its place}.
        passes: Numbers the calls, together with those of modules.
    """

    def __init__(self, networks: Mapping[nn.Module, Place], passes: Passes) -> None:
        self._networks = networks
        self._passes = passes
        self._hooks: list[Any] = []
        self._is_recording = self._has_been_called = False
        self._updated: Sequence[Tensor] = ()  # whose `grad` nobody has looked at since

    def start(self, updated: Sequence[Tensor]) -> None:
        """Record from the next pass on; see `ModuleCalls.start`."""
        self._is_recording = True
        self._updated = updated
        if not self._hooks:
            for network, place in self._networks.items():
                hook = functools.partial(self._called, place)
                self._hooks.append(network.register_forward_hook(hook, with_kwargs=True))

    def stop(self) -> None:
        """Record no more passes; hooks that were never called stay, as those of `ModuleCalls`."""
        self._is_recording = False
        if self._has_been_called:
            self.remove()

    def remove(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing meanwhile."""
        before, self._is_recording = self._is_recording, False
        try:
            yield
        finally:
            self._is_recording = before

    def _called(
        self,
        place: Place,
        _network: nn.Module,
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        output: Any,
    ) -> None:
        if torch.compiler.is_compiling() or not self._is_recording:
            return
        self._has_been_called = True
        given = next((t for t in tensors((inputs, options)) if _is_plain(t)), None)
        for outputs in tensors(output):
            if takes_gradient(outputs) and _is_plain(outputs) and outputs.dim() > 1:
                number, pass_number = self._passes.next_call()
                taken = None if given is None else accumulate_any(given)
                answer = Answer(place, number, pass_number, taken)
                rows = _rows(outputs)
                answer.numbers[DEPENDENCE] = answers.dependence(rows)
                take = functools.partial(self._take, answer, rows, rows._version)
                outputs.register_hook(take)  # type: ignore[no-untyped-call]
                self._passes.await_gradient(answer, outputs)
                return

    def _take(self, answer: Answer, rows: Tensor, version: int, gradient: Tensor) -> None:
        if self._updated:
            answer.kept = _any_gradient(self._updated)
            self._updated = ()
        is_unchanged = rows._version == version  # nobody wrote into it in place
        if is_unchanged and rows.shape[1] > 1 and gradient.layout == torch.strided:
            scale = interception.loss_scale()
            g = _rows(gradient if scale is None else gradient / scale)
            values = answers.read_gradient(rows, g)
            answer.numbers |= zip(answers.OF_GRADIENT, values, strict=True)


def inputs(passes: Sequence[Answer]) -> dict[Place, Accumulation]:
    """Return the statistics of networks' inputs, of micro-batches together."""
    parts: dict[Place, list[Accumulation]] = {}
    for answer in passes:
        if answer.inputs is not None:
            parts.setdefault(answer.place, []).append(answer.inputs)
    return {place: join(group) for place, group in parts.items()}


def measure(passes: Sequence[Answer]) -> Answers:
    """Copy numbers from the devices.

    Returns:
        {network: {statistic: value}}, the mean over the micro-batches of a step.
    """
    numbers: dict[Place, dict[str, list[Tensor]]] = {}
    for answer in passes:
        of_network = numbers.setdefault(answer.place, {})
        for statistic, value in answer.numbers.items():
            of_network.setdefault(statistic, []).append(value)
        if answer.kept is not None:
            of_network.setdefault(KEPT, []).append(answer.kept)
    return {
        place: {
            statistic: float(torch.stack([value.double() for value in values]).nanmean())
            for statistic, values in of_network.items()
        }
        for place, of_network in numbers.items()
    }


def _is_plain(tensor: Tensor) -> bool:
    plain = tensor.layout == torch.strided and not is_sharded(tensor)
    return plain and tensor.is_floating_point() and tensor.numel() > 0


def _rows(outputs: Tensor) -> Tensor:
    """Return the first rows of outputs, (rows, features), whose last axis is that of features."""
    rows = outputs.detach().flatten(0, -2)
    return rows[: max(1, _ELEMENTS // rows.shape[1])]


def _any_gradient(parameters: Sequence[Tensor]) -> Tensor:
    """Tell, without waiting for the device, whether one of the smallest `grad` is not 0."""
    grads = [p.grad for p in parameters if p.grad is not None and p.grad.layout == torch.strided]
    smallest = sorted(grads, key=Tensor.numel)[:_GRADS]
    any_of = [(grad.detach() != 0).any() for grad in smallest if not is_sharded(grad)]
    return torch.stack(any_of).any() if any_of else torch.zeros(())
