"""Watch a training loop of your own: gradients as the optimizer uses them, as tables.

In: models, optimizers, a folder. Out: the folder's run.json and tables (`results.watched`). The
loop stays as it is: everything is seen from PyTorch's hooks around `optimizer.step`.
"""

import atexit
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from vanishing.errors import StudyError
from vanishing.recording import module_tables, step_tables, watch_tables
from vanishing.recording.description import describe, owners_of
from vanishing.recording.module_calls import CallMeasurement, ModuleCalls, Modules
from vanishing.recording.module_places import modules_by_optimizer
from vanishing.recording.optimizer_steps import OptimizerSteps
from vanishing.recording.parameters import Choice, NamedParameter, by_name, choose, name_parameters
from vanishing.recording.processes import is_bystander, refuse_flat_shards, replicated
from vanishing.recording.sharding import any_sharded, check_parts
from vanishing.recording.watch_probe import is_compiled, probe, uncompiled
from vanishing.results import watched
from vanishing.tracking import active_run
from vanishing.tracking.active_run import ActiveRun

if TYPE_CHECKING:
    from vanishing.explaining.explanation import Explanation
    from vanishing.judging.learning.verdict import Verdict

Alarm = Literal["warn", "stop"] | Callable[["Verdict"], object]

_FIRST_STEPS = 10  # all are traced: that is when training fails or takes off
# A flush comes after ten seconds, later after a hundredth of the time since the start, and so long
# after the last one that half a percent of the time goes into writing: a crash loses no more than
# that, and a training of any length leaves some hundred parts.
_FLUSH_S = 10.0
_FLUSH_SHARE = 0.01
_WRITING_SHARE = 0.005


def watch(  # noqa: PLR0913 - keywords
    model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module],
    optimizer: Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer],
    *,
    folder: str | Path,
    every: int = 50,
    parameters: Choice | None = None,
    updates: bool = True,
    modules: bool = True,
    alarm: Alarm | None = None,
    mlflow: bool = True,
) -> "Watch":
    """Watch a training loop from now on, and write tables of its gradients into a folder.

    The first ten steps of each optimizer and every `every`-th are traced. On the others nothing is
    read from the device. The trained weights are, byte for byte, those of a training that nobody
    watches. If a run of MLflow is active, it shows the norms of gradients meanwhile, and gets the
    tables and a figure at the end.

    Args:
        model: What is trained: one module, a list, or a mapping of names. The names of several
            stand before those of their layers, as in `nn.ModuleList` and `nn.ModuleDict`.
        optimizer: What trains it: one optimizer, a list, or a mapping of names. Each has steps of
            its own, and a parameter belongs to one of them.
        folder: Where to write; its last part is the run's name.
        every: Of how many steps one is traced.
        parameters: Which ones to record: a regular expression that is searched in the full name
            (`encoder.0.weight`), or a predicate of name and parameter. None for all.
        updates: Whether updates and their ratios are recorded. They need a copy of the recorded
            parameters during a traced step; without them a traced step needs memory for a few
            copies of the largest gradient.
        modules: Whether the outputs of modules, and the gradients that come back to them, are
            recorded at traced steps, by hooks that exist for these steps alone.
        alarm: What to do when the training will not learn (`judge_learning`), as is looked at at
            the first traced step from 10, 50, 100, 200, 500, 1,000, … on: `warn`; `stop`, which
            raises WillNotLearnError out of `optimizer.step()`; or a function that is given the
            verdict, whatever it is. None for nothing. It needs the losses, by `watch.loss`.
        mlflow: Whether an active run of MLflow shows the training; False leaves the run alone.

    Returns:
        A watch, to be closed by `with` or `close`.

    Raises:
        StudyError: If the model has no parameters, the optimizer holds none of them, two
            optimizers hold the same one, parameters are sharded, or the folder holds a run or
            cannot be written.
    """
    if every < 1:
        raise StudyError(f"watch: every: should be at least 1; given {every}")
    if not (alarm in (None, "warn", "stop") or callable(alarm)):
        raise StudyError(f"watch: alarm: should be warn, stop or a function; given {alarm!r}")
    given = by_name(model, nn.Module)
    refuse_flat_shards(given.values())
    networks = {name: _original(network) for name, network in given.items()}
    named = name_parameters(networks)
    several = [optimizer] if isinstance(optimizer, Optimizer) else optimizer
    optimizers = by_name(several, Optimizer)
    owners = owners_of(optimizers, named)
    chosen = choose(named, parameters)
    check_parts({p.name: p.parameter for p in chosen})
    if is_bystander(given.values()):
        return _Bystander()
    contributes = any_sharded(p.parameter for p in chosen) and distributed.get_rank() != 0
    places: Mapping[str, Modules] = {}
    if modules and not contributes:
        places = modules_by_optimizer(networks, chosen, owners, list(optimizers))
    content = _Content(chosen, every, updates, places, alarm)
    if contributes:
        return _Contributor(Path(folder).absolute(), given, optimizers, content)
    watched.begin(Path(folder), describe(named, chosen, owners, optimizers, every))
    run = active_run.attach(max(p.layer_index for p in named) + 1) if mlflow else None
    return Watch(Path(folder).absolute(), given, optimizers, content, run)


def _original(network: nn.Module) -> nn.Module:
    """Return what `torch.compile` and DistributedDataParallel were given, in whatever order."""
    inner = replicated(uncompiled(network))
    return network if inner is network else _original(inner)


def next_look(step: int) -> int:
    """Return the first of 10, 50, 100, 200, 500, 1,000, … after a step: then an alarm looks."""
    looks = (int(look * 10**power) for power in count() for look in (100, 200, 500))
    return next(look for look in chain((10, 50), looks) if look > step)


class _Content(NamedTuple):
    """What is recorded.

    Attributes:
        parameters: Which ones.
        every: Of how many steps one is traced.
        updates: Whether updates are recorded.
        modules: {optimizer: modules that count for its steps}; {} for none.
        alarm: See `watch`.
    """

    parameters: Sequence[NamedParameter]
    every: int
    updates: bool
    modules: Mapping[str, Modules]
    alarm: Alarm | None = None


class Watch:
    """A training that is watched; `vanishing.watch` makes one."""

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        content: _Content,
        run: ActiveRun | None = None,
    ) -> None:
        self._folder = folder
        self._run = run  # of MLflow
        self._networks = {name: _original(network) for name, network in networks.items()}
        self._modules = content.modules
        self._probes: dict[str, dict[int, CallMeasurement]] = {}  # by optimizer and step
        self._explanations: dict[int, Explanation] = {}  # by step
        self._names = {named.parameter: named for named in content.parameters}
        compiled = any(map(is_compiled, networks.values()))
        calls = {} if compiled else self._make_calls()
        self._optimizers = {
            name: OptimizerSteps(
                optimizer,
                self._names,
                lambda step: step <= _FIRST_STEPS or step % content.every == 0,
                content.updates,
                calls.get(name),
                self._after_traced,
            )
            for name, optimizer in optimizers.items()
        }
        self._first = next(iter(self._optimizers.values()))
        self._losses: dict[int, list[Tensor | float]] = {}
        self._loss_comes_first: bool | None = None
        self._alarm = content.alarm
        self._next_look = next_look(0)
        self._part = 0
        self._start_s = self._flushed_s = time.monotonic()
        self._writing_s = 0.0  # of the last flush
        self._warned = False
        self._closed = False
        atexit.register(self.close)  # for a program that does not

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _make_calls(self) -> dict[str, ModuleCalls]:
        """Make a recorder of modules for each optimizer."""
        networks = list(self._networks.values())
        return {name: ModuleCalls(modules, networks) for name, modules in self._modules.items()}

    def probe(self, batch: Any, loss_function: Callable[[Any, Any], Tensor]) -> None:
        """Record the modules in a pass of a batch of its own, as of the step that comes.

        For networks that are compiled, whose modules cannot be seen while they train, and for a
        batch that stays the same. The pass goes through the modules as they were before
        `torch.compile`, in the mode in which they are. Parameters, their `grad`, running statistics
        and random states are afterwards as they were. Gradients come from `torch.autograd.grad`,
        with which a reentrant checkpoint does not work.

        Args:
            batch: Anything.
            loss_function: Called with the model (several: {name: model}) and the batch; returns the
                loss, one number.

        Raises:
            StudyError: If modules are not recorded, parameters are sharded, or the loss is not one
                number, or depends on no parameter.
        """
        if any_sharded(self._names):
            raise StudyError(
                "watch.probe: parameters are sharded, so that a pass needs all processes; leave it"
                " out: traced steps record the modules of process 0"
            )
        if not self._modules:
            raise StudyError("watch.probe: modules are not recorded; remove modules=False")
        calls = self._make_calls()
        model = self._networks.get("", self._networks)
        with ExitStack() as stack:
            for steps in self._optimizers.values():
                stack.enter_context(steps.modules_paused())
            measured = probe(
                list(self._networks.values()),
                list(calls.values()),
                lambda: loss_function(model, batch),
            )
        for name, measurement in zip(calls, measured, strict=True):
            if measurement is not None:
                step = self._optimizers[name].attempted + 1
                self._probes.setdefault(name, {})[step] = measurement

    def explain(self, batch: Any, loss: Callable[[Any, Any], Tensor]) -> "Explanation | None":
        """Say why the gradient vanishes on its way to the input, and keep it for the report.

        `vanishing.explain` on the model as it is now, as of the step that comes: a pass of its own,
        forward and backward, of a few times the memory of a step. It changes nothing. The
        factors are the table `factors` of the run, and `vanishing report` shows them.

        Args:
            batch: Inputs and targets. Inputs are a tensor, or a tuple or mapping of arguments.
            loss: Called with the outputs and the targets; returns one number.

        Returns:
            The explanation; None on a process that leaves recording to rank 0.

        Raises:
            StudyError: If several models are watched, parameters are sharded, or the batch or the
                loss cannot be used.
        """
        from vanishing.explaining.explain import explain  # noqa: PLC0415 - pandas

        if "" not in self._networks:
            raise StudyError(
                f"watch.explain: {len(self._networks)} models are watched; call vanishing.explain"
                " with one of them"
            )
        if any_sharded(self._names):
            raise StudyError("watch.explain: parameters are sharded; call it on an unsharded copy")
        with ExitStack() as stack:
            for steps in self._optimizers.values():
                stack.enter_context(steps.modules_paused())
            explanation = explain(self._networks[""], batch, loss)
        self._explanations[self._first.attempted + 1] = explanation
        return explanation

    def loss(self, loss: Tensor | float) -> None:
        """Record the loss of a batch, without waiting for the device.

        Call it once per batch, always at the same place: before `optimizer.step()` or after it. It
        counts for the step of the first optimizer; several losses of one step (micro-batches) are
        averaged.

        Raises:
            StudyError: If it is not one number.
        """
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise StudyError(f"watch.loss: should be one number; given shape {tuple(loss.shape)}")
        if self._loss_comes_first is None:
            self._loss_comes_first = self._first.attempted == 0
        step = self._first.attempted + self._loss_comes_first
        value = loss.detach().clone() if isinstance(loss, Tensor) else loss
        self._losses.setdefault(step, []).append(value)

    def flush(self) -> None:
        """Write what was recorded since the last flush.

        If it cannot be written, it is lost, a warning says so once, and training goes on.
        """
        self._write(ended=False)

    def close(self) -> None:
        """End the watch: write the rest, and join the parts of each table."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        for steps in self._optimizers.values():
            steps.detach()
        self._write(ended=True)
        self._finish()

    def _finish(self) -> None:
        self._or_warn(lambda: watched.join(self._folder))
        if self._run is not None:
            self._run.end(
                watched.paths_of(self._folder),
                partial(_save_figure, self._folder),
                partial(_judge, self._folder),
            )

    def _after_traced(self) -> None:
        self._flush_if_due()
        if self._alarm is not None and self._first.attempted >= self._next_look:
            self._or_warn(self._look)

    def _look(self) -> None:
        """Judge the training as it is in the folder, so that a later reader gets the same verdict.

        Raises:
            WillNotLearnError: If it will not learn, and should be stopped.
        """
        from vanishing.judging.learning.verdict import WillNotLearnError  # noqa: PLC0415 - pandas
        from vanishing.params.answers import WILL_NOT_LEARN  # noqa: PLC0415

        step = self._first.attempted
        self._next_look = next_look(step)
        self.flush()
        verdict = _judge(self._folder, step)
        if callable(self._alarm):
            self._alarm(verdict)
        elif verdict.answer == WILL_NOT_LEARN:
            if self._alarm == "stop":
                raise WillNotLearnError(f"vanishing.watch: {verdict}")
            warnings.warn(f"vanishing.watch: {verdict}", stacklevel=2)

    def _flush_if_due(self) -> None:
        now_s = time.monotonic()
        share_s = _FLUSH_SHARE * (now_s - self._start_s)
        due_s = max(_FLUSH_S, share_s, self._writing_s / _WRITING_SHARE)
        if now_s - self._flushed_s >= due_s:
            self.flush()

    def _write(self, ended: bool) -> None:
        start_s = time.monotonic()
        tables = self._take(ended)
        self._part += 1
        self._or_warn(lambda: watched.write_parts(self._folder, self._part, tables))
        if self._run is not None:
            self._run.show(tables)
        self._flushed_s = time.monotonic()
        self._writing_s = self._flushed_s - start_s

    def _take(self, ended: bool) -> dict[str, list[step_tables.Columns]]:
        """Take what was recorded, as columns; losses of a step that may get more stay."""
        tables: dict[str, list[step_tables.Columns]] = {name: [] for name in watched.TABLES}
        for name, optimizer in self._optimizers.items():
            traced, optimizer.traced = optimizer.traced, []
            taken, optimizer.steps = optimizer.steps, []
            for step in traced:
                if step.measurement is not None:
                    part = step.number, step.measurement, self._names
                    tables["trace"].append(step_tables.trace(*part))
                    tables["trace_histograms"].append(step_tables.histograms(*part))
            calls = {step.number: step.calls for step in traced if step.calls is not None}
            for number, measurement in (calls | self._probes.pop(name, {})).items():
                tables["trace"].append(module_tables.trace(number, measurement))
                tables["trace"].append(module_tables.constants(number, measurement))
                tables["trace"].append(module_tables.answers(number, measurement))
                tables["trace"].append(module_tables.normalizations(number, measurement))
                tables["trace"] += module_tables.through_time(number, measurement)
                tables["units"] += module_tables.units(number, measurement)
                tables["heads"] += module_tables.heads(number, measurement)
            tables["parameters"] += watch_tables.parameters(name, traced, self._names)
            tables["steps"].append(watch_tables.steps(name, taken))
        for number, explanation in self._explanations.items():
            table = explanation.table
            columns = {str(name): column.tolist() for name, column in table.items()}
            tables["factors"].append({"step": [number] * len(table), **columns})
        self._explanations = {}
        open_step = math.inf if ended else self._first.attempted
        complete = {step: group for step, group in self._losses.items() if step < open_step}
        self._losses = {step: g for step, g in self._losses.items() if step >= open_step}
        tables["losses"].append(watch_tables.losses(complete))
        return tables

    def _or_warn(self, write: Callable[[], object]) -> None:
        try:
            write()
        except StudyError as error:
            if not self._warned:
                warnings.warn(f"vanishing.watch: {error}; training goes on", stacklevel=2)
            self._warned = True


class _Contributor(Watch):
    """A watch on a process that gives its parts of sharded parameters to what rank 0 records."""

    def loss(self, loss: Tensor | float) -> None:
        """Do nothing: rank 0 records its own."""

    def _write(self, ended: bool) -> None:  # noqa: ARG002
        """Forget what was recorded; rank 0 writes it."""
        for optimizer in self._optimizers.values():
            optimizer.traced.clear()
            optimizer.steps.clear()

    def _finish(self) -> None:
        """Do nothing."""


def _save_figure(folder: Path, path: Path) -> None:
    from vanishing.reporting.runs import save_figure  # noqa: PLC0415 - pandas and matplotlib

    save_figure(folder, path)


def _judge(folder: Path, step: int | None = None) -> "Verdict":
    from vanishing.judging.learning.verdict import judge_learning  # noqa: PLC0415 - pandas

    return judge_learning(folder, step)


class _Bystander(Watch):
    """A watch on a process that leaves recording to rank 0."""

    def __init__(self) -> None:
        """Attach nothing."""

    def probe(self, batch: Any, loss_function: Callable[[Any, Any], Tensor]) -> None:
        """Do nothing."""

    def explain(self, batch: Any, loss: Callable[[Any, Any], Tensor]) -> None:
        """Do nothing."""

    def loss(self, loss: Tensor | float) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
