"""Inputs and outputs of whole networks in the passes before a traced step, and what they say.

Of each pass that a gradient reaches: the statistics of the first floating-point input; whether the
outputs depend on the example; and, where the loss is a cross-entropy of a softmax, labels and scale
(`stats.answers`). When the first gradient of a step comes, parameters' `grad` tell whether somebody
has reset them since the last step.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vanishing.recording import interception
from vanishing.recording.call_hooks import CallHooks
from vanishing.recording.passes import Passes, Place, is_plain
from vanishing.recording.sharding import is_sharded
from vanishing.recording.step_trace import accumulate_any
from vanishing.recording.tensors import tensors
from vanishing.stats import answers
from vanishing.stats.fast import Accumulation, join

INPUT, OUTPUT = "input", "output"  # tensors of the trace
DEPENDENCE, FEATURES = "dependence", "features"  # statistics of the output
KEPT = "gradient_kept"  # likewise
_GRADS = 8  # that are looked at: who resets one resets all
_ELEMENTS = 2**20  # of outputs that are looked at: the logits of a language model are many


@dataclass(eq=False)
class Answer:
    """A pass through a network.

    Attributes:
        place: Of the network.
        number: See `passes.Call`.
        pass_number: Likewise.
        inputs: Of the first floating-point input; None without one.
        numbers: {statistic: ()} of the outputs; of them KEPT says whether gradients were there
            before those of this step, and is missing where nobody looked.
    """

    place: Place
    number: int
    pass_number: int
    inputs: Accumulation | None
    numbers: dict[str, Tensor] = field(default_factory=dict)


class AnswerCalls(CallHooks):
    """Records the passes through some networks.

    Args:
        networks: {network: its place}.
        passes: Numbers the calls, together with those of modules.
    """

    def __init__(self, networks: Mapping[nn.Module, Place], passes: Passes) -> None:
        super().__init__()
        self._networks = networks
        self._passes = passes
        self._updated: Sequence[Tensor] = ()  # whose `grad` nobody has looked at since

    def start(self, updated: Sequence[Tensor] = ()) -> None:
        """Record from the next pass on; see `ModuleCalls.start`."""
        self._updated = updated
        super().start()

    def _attach(self) -> Iterator[RemovableHandle]:
        for network, place in self._networks.items():
            hook = functools.partial(self._called, place)
            yield network.register_forward_hook(hook, with_kwargs=True)

    def _called(
        self,
        place: Place,
        _network: nn.Module,
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        output: Any,
    ) -> None:
        if not self._records():
            return
        given = next((t for t in tensors((inputs, options)) if _is_real(t)), None)
        for answered in tensors(output):
            if answered.requires_grad and _is_real(answered) and answered.dim() > 1:
                number, pass_number = self._passes.next_call()
                taken = None if given is None else accumulate_any(given)
                answer = Answer(place, number, pass_number, taken)
                rows = _rows(answered)
                answer.numbers[DEPENDENCE] = answers.dependence(rows)
                answer.numbers[FEATURES] = rows.new_full((), rows.shape[1], dtype=torch.float64)
                take = functools.partial(self._take, answer, rows, rows._version)
                answered.register_hook(take)  # type: ignore[no-untyped-call]
                self._passes.await_gradient(answer, answered)
                return

    def _take(self, answer: Answer, rows: Tensor, version: int, gradient: Tensor) -> None:
        if self._updated:
            answer.numbers[KEPT] = _any_gradient(self._updated)
            self._updated = ()
        is_unchanged = rows._version == version  # nobody wrote into it in place
        if is_unchanged and rows.shape[1] > 1 and gradient.layout == torch.strided:
            scale = interception.loss_scale()
            g = _rows(gradient if scale is None else gradient / scale)
            values = answers.read_gradient(rows, g)
            answer.numbers |= zip(answers.OF_GRADIENT, values, strict=True)


def inputs_of(passes: Sequence[Answer]) -> dict[Place, Accumulation]:
    """Return the statistics of networks' inputs, of micro-batches together."""
    parts: dict[Place, list[Accumulation]] = {}
    for answer in passes:
        if answer.inputs is not None:
            parts.setdefault(answer.place, []).append(answer.inputs)
    return {place: join(group) for place, group in parts.items()}


def outputs_of(passes: Sequence[Answer]) -> dict[tuple[int, str, str], Tensor]:
    """Return {(layer_index, network, statistic of its outputs): value}, on the devices.

    Each is the mean over the micro-batches of a step.
    """
    parts: dict[tuple[int, str, str], list[Tensor]] = {}
    for answer in passes:
        for statistic, value in answer.numbers.items():
            parts.setdefault((*answer.place, statistic), []).append(value.double())
    return {key: torch.stack(values).nanmean() for key, values in parts.items()}


def _is_real(tensor: Tensor) -> bool:
    return is_plain(tensor) and tensor.is_floating_point()


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
