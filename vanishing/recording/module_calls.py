"""Outputs of modules in the passes before a traced step, and the gradients that come back to them.

Forward hooks exist while a step is prepared that will be traced. They take an output's statistics
at once, before anything overwrites it, and put a hook on the tensor, by which its gradient is
taken. Which calls count is said in `passes`.
"""

import dataclasses
import functools
import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vanishing.recording import attention, interception
from vanishing.recording.answers import INPUT, Answer, AnswerCalls, inputs_of, outputs_of
from vanishing.recording.attention import AttentionCalls, HeadCall, Heads
from vanishing.recording.call_hooks import CallHooks
from vanishing.recording.gradient_paths import GradientPaths
from vanishing.recording.passes import Passes, Place, by_place, takes_gradient
from vanishing.recording.probe_calls import REGISTERED
from vanishing.recording.recurrent import Call, gradients_through_time, record_call
from vanishing.recording.step_trace import accumulate_any
from vanishing.recording.tensors import tensors
from vanishing.stats.constant_units import Constants, find_constants, shares
from vanishing.stats.constant_units import join as join_constants
from vanishing.stats.fast import Accumulation, Summary, join, pack, summarize_packed
from vanishing.stats.units import fraction_active, fraction_flat

PREACTIVATION, ACTIVATION, GRADIENT = "preactivation", "activation", "backpropagated_gradient"
STREAM, STREAM_GRADIENT = "stream", "stream_gradient"  # of a block's output
POSITION = "position"
RUNNING = "running_statistics"  # of a normalization over examples
_CHANNELS = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.PReLU)
_OVER_EXAMPLES = nn.modules.batchnorm._NormBase
_UNITS_LAST = (nn.Linear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)


class Modules(NamedTuple):
    """The modules that are recorded, and their places.

    Attributes:
        layers: Those that have parameters of their own.
        blocks: Those that hold layers, each as one step along the residual stream.
        callers: Those that may call attention.
        networks: The whole networks that hold layers.
    """

    layers: dict[nn.Module, Place]
    blocks: dict[nn.Module, Place]
    callers: dict[nn.Module, Place]
    networks: dict[nn.Module, Place]


class Units(NamedTuple):
    """Shares of each unit of one call: see `stats.units`.

    Attributes:
        examples: How many examples they are of.
        active: (units,), float64, on the device of the call.
        flat: (units,), float64, likewise.
    """

    examples: int
    active: Tensor
    flat: Tensor


@dataclasses.dataclass(eq=False)
class _Output:
    """A tensor that a module gave back, and what was taken of it.

    Attributes:
        tensor: Itself, as long as somebody else needs it.
        version: Of the tensor; another one has other values, which somebody wrote in place.
        units_axis: See `units_axis`.
        values: Their accumulation.
        gradient: None until one has come.
        activation: None where no activation of the registry followed.
        units: Likewise.
        constants: {PREACTIVATION or ACTIVATION: which units have one value}.
    """

    tensor: "weakref.ref[Tensor]"
    version: int
    units_axis: int | None
    values: Accumulation
    gradient: Accumulation | None = None
    activation: Accumulation | None = None
    units: Units | None = None
    constants: dict[str, Constants] = dataclasses.field(default_factory=dict)

    def is_of(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is this output, with the values that were taken."""
        return self.tensor() is tensor and self.version == tensor._version

    def of_layer(self) -> dict[str, Accumulation | None]:
        """Return what was taken, as of a layer."""
        return {
            PREACTIVATION: self.values,
            ACTIVATION: self.activation,
            GRADIENT: self.gradient,
        }

    def of_block(self) -> dict[str, Accumulation | None]:
        """Return what was taken, as of a block."""
        return {STREAM: self.values, STREAM_GRADIENT: self.gradient}


@dataclasses.dataclass(eq=False)
class _Sequence:
    """A call of a recurrent module, from which the gradient through time is computed.

    Attributes:
        module: That was called.
        call: What the call is repeated from.
        gradients: Of what the call returned; None where none has come.
    """

    module: nn.RNNBase
    call: Call
    gradients: list[Tensor | None]

    def take(self, index: int, gradient: Tensor) -> None:
        """Add the gradient of one of the tensors that the call returned."""
        scale = interception.loss_scale()
        unscaled = gradient.detach() if scale is None else gradient.detach() / scale
        before = self.gradients[index]
        self.gradients[index] = unscaled if before is None else before + unscaled

    def sums_of_squares(self) -> dict[str, Tensor]:
        """Return {tensor: (time, 2)}, the sum of squares at each time step, and their number."""
        through_time = gradients_through_time(self.module, self.call, self.gradients)
        return {
            name: torch.stack(
                [
                    values.double().square().sum((1, 2)),
                    values.new_full((len(values),), values[0].numel(), dtype=torch.float64),
                ],
                dim=1,
            )
            for name, values in through_time.items()
        }


@dataclasses.dataclass(eq=False)
class _Call:
    """A call of a module.

    Attributes:
        place: Of the module.
        is_block: Whether it is a block; else it is a layer.
        number: Of the call among all, in the order in which they end.
        pass_number: Of the forward pass; another one begins after a backward pass.
        outputs: Those that require a gradient.
        sequence: None if it is of no recurrent module, or cannot be repeated.
        normalization: {statistic: value}, how a normalization over examples works; empty of another
            module.
    """

    place: Place
    is_block: bool
    number: int
    pass_number: int
    outputs: list[_Output]
    sequence: _Sequence | None = None
    normalization: dict[str, float] = dataclasses.field(default_factory=dict)


class CallMeasurement(NamedTuple):
    """The numbers of a step's calls, on the host.

    Attributes:
        keys: (layer_index, layer, tensor) of each row; the layer of a second call is `layer#2`.
        statistics: One row per key.
        positions: (rows,), that of the call in the forward pass; the first to end has 1.
        units: {(layer_index, layer): (shares active, shares flat) of its units}.
        constants: {(layer_index, layer, tensor): (fraction_dead, fraction_constant) of its units}.
        through_time: {(layer_index, layer, tensor): rms at each time step} of recurrent modules.
        heads: Of attention.
        answers: {(layer_index, network, statistic of its outputs): value}.
        normalizations: {(layer_index, layer, statistic): value}: `used` is 1 where a normalization
            over examples takes its running statistics instead of those of the batch, else 0;
            `momentum` is the weight of a batch in them, NaN for their plain average.
    """

    keys: list[tuple[int, str, str]]
    statistics: Summary
    positions: NDArray[np.int64]
    units: dict[Place, NDArray[np.float64]]
    constants: dict[tuple[int, str, str], NDArray[np.float64]]
    through_time: dict[tuple[int, str, str], NDArray[np.float64]]
    heads: Heads
    answers: dict[tuple[int, str, str], NDArray[np.float64]]
    normalizations: dict[tuple[int, str, str], float]


class ModuleCalls(CallHooks):
    """Records the calls of some modules.

    Args:
        modules: Which ones.
        networks: Whose modules these are; their activations are looked for.

    Attributes:
        paths: Of the gradients to the parameters; None when they have been looked at.
    """

    def __init__(self, modules: Modules, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self._modules = modules
        self.paths: GradientPaths | None = GradientPaths(modules.layers)
        self._activations = [
            module
            for network in networks
            for module in network.modules()
            if type(module) in REGISTERED
        ]
        self._passes = Passes()
        self._pass_number = 0  # of the last call
        self._attention = AttentionCalls(modules.callers, self._passes)
        self._answers = AnswerCalls(modules.networks, self._passes)
        self._begin()

    def start(self, updated: Sequence[Tensor] = ()) -> None:
        """Record from the next call on.

        Args:
            updated: The parameters that the optimizer's last step has changed.
        """
        self._attention.start()
        self._answers.start(updated)
        if self.paths is not None:
            self.paths.start()
        super().start()

    def _attach(self) -> Iterator[RemovableHandle]:
        for is_block, modules in ((False, self._modules.layers), (True, self._modules.blocks)):
            for module, place in modules.items():
                hook = functools.partial(self._called, place, is_block)
                yield module.register_forward_hook(hook, with_kwargs=True)
        for module in self._activations:
            yield module.register_forward_pre_hook(self._before_activation)
            yield module.register_forward_hook(self._after_activation)

    def stop(self) -> None:
        """Record no more calls, and forget those that were recorded."""
        self._attention.stop()
        self._answers.stop()
        self._begin()
        super().stop()

    def remove(self) -> None:
        """Remove the hooks."""
        self._attention.remove()
        self._answers.remove()
        if self.paths is not None:
            self.paths.remove()
        super().remove()

    def end_paths(self) -> None:
        """Look at the paths of gradients no more."""
        if self.paths is not None:
            self.paths.remove()
            self.paths = None

    def begin_step(self) -> None:
        """Let the optimizer's step begin: see `Passes`."""
        self._passes.begin_step()

    def read(self) -> CallMeasurement | None:
        """Copy what was recorded since the last reading from the devices, and forget it.

        Returns:
            The numbers of the calls that a gradient has reached; None if there are none.
        """
        counted = self._passes.counted()
        self._begin()
        rows: dict[tuple[int, str, str], Accumulation] = {}
        positions: list[int] = []
        units: dict[Place, NDArray[np.float64]] = {}
        constants: dict[tuple[int, str, str], Tensor] = {}
        through_time: dict[tuple[int, str, str], NDArray[np.float64]] = {}
        modules = by_place([call for call in counted if isinstance(call, _Call)])
        for position, (place, group) in enumerate(modules.items(), start=1):
            outputs = [output for call in group for output in call.outputs if output.gradient]
            is_block = group[0].is_block
            taken = [output.of_block() if is_block else output.of_layer() for output in outputs]
            for tensor in taken[0]:
                parts = [part for numbers in taken if (part := numbers[tensor]) is not None]
                if parts:
                    rows[*place, tensor] = join(parts)
                    positions.append(position)
            if not is_block:
                of_units = [output.units for output in outputs if output.units is not None]
                if len({len(part.active) for part in of_units}) == 1:
                    units[place] = _mean(of_units).cpu().numpy()
                for tensor, share in _shares_of_constants(outputs).items():
                    constants[*place, tensor] = share
            sequences = [call.sequence for call in group if call.sequence is not None]
            for tensor, rms in _rms_through_time(sequences).items():
                through_time[*place, tensor] = rms
        if not rows:
            return None
        passes = [call for call in counted if isinstance(call, Answer)]
        for place, given in inputs_of(passes).items():
            rows[*place, INPUT] = given
            positions.append(0)
        summary = _summarize(list(rows.values()))
        heads = attention.measure([call for call in counted if isinstance(call, HeadCall)])
        return CallMeasurement(
            list(rows),
            summary,
            np.array(positions),
            units,
            _copy(constants),
            through_time,
            heads,
            _copy(outputs_of(passes)),
            {
                (*place, statistic): value
                for place, group in modules.items()
                for statistic, value in group[0].normalization.items()
            },
        )

    def _begin(self) -> None:
        self._passes.forget()
        self._produced: weakref.WeakValueDictionary[int, _Output] = weakref.WeakValueDictionary()
        self._activated: _Output | None = None  # whose activation is being called

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record no forward pass meanwhile."""
        with super().paused(), self._attention.paused(), self._answers.paused():
            yield

    def _called(
        self,
        place: Place,
        is_block: bool,
        module: nn.Module,
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        output: Any,
    ) -> None:
        if not self._records():
            return
        if self.paths is not None and not is_block:
            self.paths.called(module, tensors((inputs, options)), tensors(output))
        outputs = [tensor for tensor in tensors(output) if takes_gradient(tensor)]
        if not outputs:
            return
        number, pass_number = self._passes.next_call()
        if pass_number != self._pass_number:
            self._pass_number = pass_number
            self._produced.clear()
        call = _Call(place, is_block, number, pass_number, [])
        if isinstance(module, _OVER_EXAMPLES):
            call.normalization = _normalization(module)
        if isinstance(module, nn.RNNBase):
            call.sequence = _record_sequence(module, inputs, options, output)
        for index, tensor in enumerate(outputs):
            record = self._produced.get(id(tensor)) if is_block else None
            if record is None or not record.is_of(tensor):  # it is none of a layer in the block
                axis = units_axis(module, tensor) if index == 0 and not is_block else None
                values = accumulate_any(tensor)
                record = _Output(weakref.ref(tensor), tensor._version, axis, values)
                if axis is not None:
                    record.constants[PREACTIVATION] = find_constants(_by_unit(tensor, record))
                take = functools.partial(self._take_gradient, record)
                tensor.register_hook(take)  # type: ignore[no-untyped-call]
                self._produced[id(tensor)] = record
            call.outputs.append(record)
            self._passes.await_gradient(call, tensor)

    def _before_activation(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.compiler.is_compiling() or not self._is_recording or not inputs:
            return
        self._activated = None
        record = self._produced.get(id(inputs[0]))
        z = None if record is None else record.tensor()
        if record is None or z is None or z is not inputs[0]:
            return  # no output of a module that is recorded
        self._activated = record
        if record.units_axis is not None:
            by_unit = _by_unit(z, record)
            flat = fraction_flat(by_unit, REGISTERED[type(module)])  # now: φ may work in place
            record.units = Units(len(by_unit), torch.zeros_like(flat), flat)

    def _after_activation(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or self._activated is None:
            return
        record, self._activated = self._activated, None
        record.activation = accumulate_any(output)
        if record.units is not None:
            by_unit = _by_unit(output, record)
            record.units = record.units._replace(active=fraction_active(by_unit))
            record.constants[ACTIVATION] = find_constants(by_unit)

    def _take_gradient(self, record: _Output, gradient: Tensor) -> None:
        taken = accumulate_any(gradient, interception.loss_scale())
        record.gradient = taken if record.gradient is None else join([record.gradient, taken])


def _normalization(module: nn.modules.batchnorm._NormBase) -> dict[str, float]:
    used = module.running_mean is not None and not module.training
    momentum = math.nan if module.momentum is None else float(module.momentum)
    return {"used": float(used), "momentum": momentum}


def _record_sequence(
    module: nn.RNNBase, inputs: tuple[Any, ...], options: dict[str, Any], output: Any
) -> _Sequence | None:
    """Keep a call of a recurrent module, and await the gradients of what it returned."""
    call = record_call(module, inputs, options)
    if call is None:
        return None
    outputs = list(tensors(output))
    sequence = _Sequence(module, call, [None] * len(outputs))
    for index, tensor in enumerate(outputs):
        if takes_gradient(tensor):
            take = functools.partial(sequence.take, index)
            tensor.register_hook(take)  # type: ignore[no-untyped-call]
    return sequence


def _rms_through_time(sequences: list[_Sequence]) -> dict[str, NDArray[np.float64]]:
    """Return {tensor: rms at each time step}, of micro-batches together, however long each is."""
    joined: dict[str, Tensor] = {}
    for sequence in sequences:
        if all(gradient is None for gradient in sequence.gradients):
            continue
        for tensor, sums in sequence.sums_of_squares().items():
            before = joined.get(tensor, sums.new_zeros(0, 2))
            both = sums.new_zeros(max(len(before), len(sums)), 2)
            both[: len(before)] += before
            both[: len(sums)] += sums
            joined[tensor] = both
    return {
        tensor: (sums[:, 0] / sums[:, 1]).sqrt().cpu().numpy() for tensor, sums in joined.items()
    }


def units_axis(module: nn.Module, output: Tensor) -> int | None:
    """Tell which axis of an output is that of the module's units: 1, or the last one.

    Where the module is none of torch's own, it is the one as long as a parameter of one dimension,
    such as a bias, the last one before axis 1.

    Returns:
        1 or -1; None where no axis is known to be.
    """
    if output.dim() < 2:  # noqa: PLR2004 - there are no examples, or no units
        return None
    if output.dim() == 2 or isinstance(module, _CHANNELS):  # noqa: PLR2004
        return 1
    if isinstance(module, _UNITS_LAST):
        return -1
    lengths = {len(p) for p in module.parameters(recurse=False) if p.dim() == 1}
    return next((axis for axis in (-1, 1) if output.shape[axis] in lengths), None)


def _by_unit(values: Tensor, record: _Output) -> Tensor:
    """Return values whose axis 1 is that of the units."""
    return values.detach().flatten(0, -2) if record.units_axis == -1 else values.detach()


def _shares_of_constants(outputs: list[_Output]) -> dict[str, Tensor]:
    """Return {tensor: `fraction_dead` and `fraction_constant`}, of micro-batches together.

    Those of different numbers of units have no shares: their axis is none of units.
    """
    parts: dict[str, list[Constants]] = {}
    for output in outputs:
        for tensor, constants in output.constants.items():
            parts.setdefault(tensor, []).append(constants)
    return {
        tensor: shares(join_constants(group))
        for tensor, group in parts.items()
        if len({len(part.first) for part in group}) == 1
    }


def _mean(shares: list[Units]) -> Tensor:
    """Return the shares of several micro-batches together, (2, units): active, and flat."""
    examples = sum(part.examples for part in shares)
    parts = [torch.stack([part.active, part.flat]) * part.examples for part in shares]
    return torch.stack(parts).sum(0) / examples


def _copy(numbers: dict[tuple[int, str, str], Tensor]) -> dict[Any, NDArray[np.float64]]:
    """Copy tensors of one shape from each device at once."""
    by_device: dict[torch.device, list[tuple[int, str, str]]] = {}
    for key, values in numbers.items():
        by_device.setdefault(values.device, []).append(key)
    copied: dict[Any, NDArray[np.float64]] = {}
    for keys in by_device.values():
        copied |= zip(keys, torch.stack([numbers[key] for key in keys]).cpu().numpy(), strict=True)
    return copied


def _summarize(accumulations: list[Accumulation]) -> Summary:
    """Copy accumulations from each device at once."""
    by_device: dict[torch.device, list[int]] = {}
    for index, accumulation in enumerate(accumulations):
        by_device.setdefault(accumulation.cells.device, []).append(index)
    numbers: dict[int, NDArray[np.float64]] = {}
    for indices in by_device.values():
        packed = pack([accumulations[index] for index in indices]).cpu().numpy()
        numbers.update(zip(indices, packed, strict=True))
    return summarize_packed(np.stack([numbers[index] for index in range(len(accumulations))]))
