"""The steps of one optimizer, seen from PyTorch's own hooks around `optimizer.step`.

There the gradient is what the optimizer uses: accumulated, clipped, and unscaled. A fused optimizer
unscales by itself, so its `grad_scale` is divided out. An optimizer that is given a closure
computes its gradients within the step: they are read after it, as the last evaluation of the
closure left them. A step counts when it is tried, since only the device knows whether a fused
optimizer skipped it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from vanishing.recording import interception
from vanishing.recording.module_calls import CallMeasurement, ModuleCalls
from vanishing.recording.parameters import NamedParameter
from vanishing.recording.sharding import ShardedStepTrace, any_sharded, whole
from vanishing.recording.step_trace import Measurement, StepTrace

FROZEN, ABSENT, ZERO, PRESENT = "frozen", "absent", "zero", "present"


class Step(NamedTuple):
    """A step that was tried, traced or not; tensors are still on their device.

    Attributes:
        number: 1 is the optimizer's first.
        traced: Whether there is a trace of it; of a skipped step there is none.
        skipped: Not 0 if a scaler skipped it.
        norm: The total norm before clipping; None without clipping.
        rates: {parameter group: learning rate}.
    """

    number: int
    traced: bool
    skipped: Tensor | bool
    norm: Tensor | None
    rates: dict[str, Tensor | float]


class TracedStep(NamedTuple):
    """A traced step, on the host.

    Attributes:
        number: Of the step.
        measurement: None if no parameter had a gradient.
        calls: Of the modules; None if they are not recorded, or no gradient reached them.
        states: {parameter: (group, how its gradient is)} of every parameter that the optimizer
            holds and the watch has chosen.
    """

    number: int
    measurement: Measurement | None
    calls: CallMeasurement | None
    states: dict[Tensor, tuple[str, str]]


def group_names(optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    """Return {name: parameter group}; the name is the group's own `name`, else its index."""
    names: dict[str, dict[str, Any]] = {}
    for index, group in enumerate(optimizer.param_groups):
        name = str(group.get("name", index))
        names[f"{name}-{index}" if name in names else name] = group
    return names


class OptimizerSteps:
    """Records the steps of one optimizer while it is attached.

    Args:
        optimizer: Of torch, or one that derives from torch's.
        parameters: {tensor: its names} of all parameters that may be recorded. One that the
            optimizer is given later joins.
        is_traced: Whether the step of a number is traced. On other steps the device is not read.
        updates: As for `StepTrace`.
        calls: Records the calls of modules before a traced step; None for no modules.

    Attributes:
        attempted: How many steps were tried.
        steps: Every step that was not yet taken from here.
        traced: Every traced step that was not yet taken from here.
        on_traced: Called after each traced step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Mapping[Tensor, NamedParameter],
        is_traced: Callable[[int], bool],
        updates: bool,
        calls: ModuleCalls | None,
        on_traced: Callable[[], object],
    ) -> None:
        self.optimizer = optimizer
        self.attempted = 0
        self.steps: list[Step] = []
        self.traced: list[TracedStep] = []
        self.on_traced = on_traced
        self._parameters = parameters
        self._is_traced = is_traced
        self._updates = updates
        self._calls = calls
        self._norm: Tensor | None = None
        self._make_trace = ShardedStepTrace if any_sharded(parameters) else StepTrace
        self._trace: StepTrace | None = None  # of the traced step that is being taken
        self._frozen: set[Tensor] = set()
        self._without_path: dict[Tensor, str] = {}  # {parameter: why}, as of the first traced step
        self._has_closure = False
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]
        interception.listen(self)
        self._prepare()

    def detach(self) -> None:
        """See no more steps."""
        interception.ignore(self)
        if self._calls is not None:
            self._calls.remove()
        for hook in self._hooks:
            hook.remove()

    @contextmanager
    def modules_paused(self) -> Iterator[None]:
        """Record no calls of modules meanwhile."""
        with nullcontext() if self._calls is None else self._calls.paused():
            yield

    def held(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the group and the tensor of each parameter that is recorded, in their order."""
        groups = group_names(self.optimizer).items()
        names = {parameter: name for name, group in groups for parameter in group["params"]}
        for parameter in self._parameters:
            if parameter in names:
                yield names[parameter], parameter

    def clipped(self, parameters: Sequence[Tensor], total_norm: Tensor) -> None:
        """Keep the norm before clipping for the step that comes; the last one counts."""
        given = set(map(id, parameters))
        groups = self.optimizer.param_groups
        if any(id(parameter) in given for group in groups for parameter in group["params"]):
            self._norm = whole(total_norm.detach())

    def skipped(self) -> None:
        """Count a step that a scaler did not let the optimizer take."""
        self.attempted += 1
        self._close(traced=False, skipped=True)

    def _before(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        self.attempted += 1
        self._trace = None
        if not self._is_traced(self.attempted):
            return
        self._trace = self._make_trace(self._parameters, self._updates)
        if self._calls is not None:
            self._calls.begin_step()
        given = (*arguments[1:], *options.values())  # the first is the optimizer
        self._has_closure = any(callable(argument) for argument in given)
        self._frozen = {p for _, p in self.held() if not p.requires_grad}
        scale = getattr(optimizer, "grad_scale", None)
        used = [p for _, p in self.held() if self._has_closure or p.grad is not None]
        for parameter in used:
            if parameter.grad is not None and not self._has_closure:
                self._trace.take(parameter, parameter.grad, scale)
        for parameter in used:
            self._trace.before(parameter, None)

    def _after(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:  # noqa: ARG002
        trace, self._trace = self._trace, None
        found: Tensor | None = getattr(optimizer, "found_inf", None)
        if trace is None:
            # Not read: the scaler makes a new tensor for each step.
            self._close(traced=False, skipped=False if found is None else found)
            return
        for _, parameter in self.held():
            if self._has_closure and parameter.grad is not None:
                trace.take(parameter, parameter.grad)
            trace.after(parameter)
        skipped = found is not None and bool(found)
        if not skipped:
            self.traced.append(self._read(trace))
        self._close(not skipped, skipped)
        self.on_traced()

    def _read(self, trace: StepTrace) -> TracedStep:
        trace.close()
        measurement = trace.read()
        calls = None if self._calls is None else self._calls.read()
        zeros: dict[Tensor, bool] = {}
        if measurement is not None:
            fractions = measurement.gradients.statistics["fraction_zero"]
            zeros = dict(zip(measurement.parameters, (fractions == 1).tolist(), strict=True))
        self._look_at_paths()
        states = {p: (group, self._state(p, zeros.get(p))) for group, p in self.held()}
        return TracedStep(self.attempted, measurement, calls, states)

    def _state(self, parameter: Tensor, is_zero: bool | None) -> str:
        if parameter in self._frozen:
            return FROZEN
        if is_zero is None or is_zero:
            return self._without_path.get(parameter, ABSENT if is_zero is None else ZERO)
        return PRESENT

    def _look_at_paths(self) -> None:
        """Keep why some parameters get no gradient, once."""
        if self._calls is None or self._calls.paths is None:
            return
        for _, parameter in self.held():
            reason = self._calls.paths.reason(parameter)
            if reason is not None:
                self._without_path[parameter] = reason
        self._calls.end_paths()

    def _close(self, traced: bool, skipped: Tensor | bool) -> None:
        """Keep the row of a step."""
        rates = {name: _rate(group) for name, group in group_names(self.optimizer).items()}
        self.steps.append(Step(self.attempted, traced, skipped, self._norm, rates))
        self._norm = None
        self._prepare()

    def _prepare(self) -> None:
        """Record the calls of modules if the step that comes is traced."""
        if self._calls is not None:
            self._calls.stop()
            if self._is_traced(self.attempted + 1):
                # What no step has changed has nothing to be reset.
                updated = [p for _, p in self.held()] if self.attempted else []
                self._calls.start(updated)


def _rate(group: dict[str, Any]) -> Tensor | float:
    """Return a group's learning rate as it is now; a tensor's later changes do not count."""
    rate = group.get("lr", math.nan)
    return rate.detach().clone() if isinstance(rate, Tensor) else float(rate)
