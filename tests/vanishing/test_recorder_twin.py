"""The watch against a twin that reads `.grad` by hand just before each step."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import SGD, Adagrad, AdamW, Optimizer

import vanishing
from tests import reference

STEPS = 6
TIGHT = 1e-6  # relative


@dataclass(frozen=True)
class Case:
    """How a loop trains."""

    optimizer: str = "SGD"
    accumulation: int = 1
    clipping: str = "none"
    precision: str = "float32"
    frozen: tuple[int, int] = (0, 0)  # from which step on, and before which, the first bias is
    scale: float | None = None


OPTIMIZERS: dict[str, Callable[[list[list[Tensor]]], list[Optimizer]]] = {
    "SGD": lambda layers: [SGD([{"params": layer} for layer in layers], lr=0.1, momentum=0.9)],
    "AdamW": lambda layers: [AdamW(chain(*layers), lr=0.01)],
    "fused AdamW": lambda layers: [AdamW(chain(*layers), lr=0.01, fused=True)],
    "Adagrad": lambda layers: [Adagrad(chain(*layers), lr=0.01)],
    "LBFGS": lambda layers: [torch.optim.LBFGS(chain(*layers), lr=0.1, max_iter=3)],
    "two": lambda layers: [SGD(layers[0], lr=0.1), AdamW(layers[1], lr=0.01)],
}

CASES = st.builds(
    Case,
    st.sampled_from(sorted(OPTIMIZERS)),
    st.sampled_from([1, 4]),
    st.sampled_from(["none", "norm", "value"]),
    st.sampled_from(["float32", "bfloat16", "float16"]),
    st.sampled_from([(0, 0), (3, 9), (1, 4), (2, 4)]),
)


StepByHand = Callable[[Optimizer, Callable[[], object]], object]


class Loop:
    """A training loop as people write it; it knows nothing of the watch."""

    def __init__(self, case: Case) -> None:
        self.case = case
        rng = torch.Generator().manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        for parameter in self.model.parameters():
            nn.init.normal_(parameter, generator=rng)
        self.batches = torch.randn(STEPS, case.accumulation, 6, 4, generator=rng)
        layers: list[list[Tensor]] = [[*layer.parameters()] for layer in self.model.children()]
        self.optimizers = OPTIMIZERS[case.optimizer]([layer for layer in layers if layer])
        scale = 2.0**8 if case.precision == "float16" else case.scale
        self.scaler = (
            torch.amp.GradScaler("cpu", init_scale=scale)
            if scale is not None and case.optimizer != "LBFGS"  # refuses closures
            else None
        )

    def backward(self, batch: Tensor) -> Tensor:
        """Add a micro-batch to the gradients; return its loss."""
        dtype = getattr(torch, self.case.precision)
        is_narrow = self.case.precision != "float32"
        with torch.autocast("cpu", dtype) if is_narrow else nullcontext():
            loss = self.model(batch).square().mean() / self.case.accumulation
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        recorded: Tensor = loss.detach()
        return recorded

    def clip(self) -> None:
        """Clip all gradients, if the case says so."""
        if self.case.clipping == "norm":
            clip_grad_norm_(self.model.parameters(), 0.05)
        elif self.case.clipping == "value":
            clip_grad_value_(self.model.parameters(), 0.01)

    def run(self, by_hand: StepByHand) -> list[Tensor]:
        """Train; `by_hand` is given every optimizer and the call that takes its step."""
        losses = []
        for step, micro_batches in enumerate(self.batches, start=1):
            first, until = self.case.frozen
            self.model[0].bias.requires_grad_(not first <= step < until)
            self.model.zero_grad()
            if self.case.optimizer == "LBFGS":
                closure = self.closure(micro_batches)
                by_hand(self.optimizers[0], partial(self.optimizers[0].step, closure))
                losses.append(closure())
            else:
                losses += [self.backward(batch) for batch in micro_batches]
                self.step(by_hand)
        return losses

    def step(self, by_hand: StepByHand) -> None:
        """Take the step of every optimizer."""
        # Without clipping a fused optimizer unscales by itself, in the loop that is watched.
        if self.scaler and self.case.clipping != "none":
            for optimizer in self.optimizers:
                self.scaler.unscale_(optimizer)
        self.clip()
        for optimizer in self.optimizers:
            by_hand(
                optimizer,
                partial(self.scaler.step, optimizer) if self.scaler else optimizer.step,
            )
        if self.scaler:
            self.scaler.update()

    def closure(self, micro_batches: Tensor) -> Callable[[], Tensor]:
        """Make the function that computes gradients within a step."""

        def evaluate() -> Tensor:
            self.model.zero_grad()
            loss = torch.stack([self.backward(batch) for batch in micro_batches]).sum()
            self.clip()
            return loss

        return evaluate


Reading = dict[tuple[int, str], tuple[Tensor, Tensor, Tensor]]  # gradient, before, after


def read_by_hand(loop: Loop) -> tuple[Reading, list[Tensor]]:
    """Return {(step, parameter): gradient, values before and after}, and the losses."""
    readings: Reading = {}
    counts: dict[Optimizer, int] = {}

    def look(optimizer: Optimizer, step: Callable[[], object]) -> None:
        counts[optimizer] = number = counts.get(optimizer, 0) + 1
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        parameters = {n: p for n, p in loop.model.named_parameters() if id(p) in held}
        scale = 1.0
        if loop.scaler and loop.case.clipping == "none":
            scale = loop.scaler.get_scale()
        before = copy.deepcopy({n: p.detach() for n, p in parameters.items()})
        if loop.case.optimizer == "LBFGS":
            step()
            gradients = {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
        else:
            gradients = {n: p.grad / scale for n, p in parameters.items() if p.grad is not None}
            step()
        for name, gradient in gradients.items():
            after = parameters[name].detach().clone()
            readings[number, name] = (gradient, before[name], after)

    return readings, loop.run(look)


def watched(loop: Loop, folder: Path) -> list[Tensor]:
    """Train under a watch that traces every step."""
    with vanishing.watch(loop.model, loop.optimizers, folder=folder, every=1):
        return loop.run(lambda _, step: step())


def rows_by_parameter(frame: pd.DataFrame) -> Iterator[tuple[Any, Any]]:
    """Yield (step, full name) and {(tensor, statistic): value} of each parameter."""
    of_modules = ["preactivation", "activation", "backpropagated_gradient", "input", "output"]
    frame = frame[~frame["tensor"].isin(of_modules)]
    leaf = frame["tensor"].str.extract(r"^(weight|bias)")[0].fillna("weight")
    for (step, name), rows in frame.groupby(["step", frame["layer"] + "." + leaf]):
        yield (step, name), rows.set_index(["tensor", "statistic"])["value"]


def check_against_twin(case: Case, folder: Path) -> None:
    plain, seen = Loop(case), Loop(case)
    readings, plain_losses = read_by_hand(plain)
    losses = watched(seen, folder)
    assert torch.equal(torch.stack(losses), torch.stack(plain_losses))
    for name, parameter in plain.model.named_parameters():
        assert torch.equal(parameter, seen.model.get_parameter(name)), name
    recorded = dict(rows_by_parameter(vanishing.read_run(folder, "trace")))
    assert set(recorded) == set(readings)
    for key, (gradient, before, after) in readings.items():
        check_values(recorded[key], key[1].rpartition(".")[2], gradient, before, after)
    check_counts(vanishing.read_run(folder, "trace_histograms"), readings)


def check_values(values: Any, leaf: str, gradient: Tensor, before: Tensor, after: Tensor) -> None:
    g, w, update = gradient.double(), before.double(), before.double() - after.double()
    of_gradient = values[f"{leaf}_gradient"]
    mean_abs = g.abs().mean().item()
    assert of_gradient["l2_norm"] == pytest.approx(g.norm().item(), rel=TIGHT)
    assert of_gradient["mean_abs"] == pytest.approx(mean_abs, rel=TIGHT)
    assert of_gradient["mean"] == pytest.approx(g.mean().item(), abs=TIGHT * mean_abs)
    assert of_gradient["max_abs"] == g.abs().max().item()
    of_update = values["update" if leaf == "weight" else f"{leaf}_update"]
    assert values[leaf, "l2_norm"] == pytest.approx(w.norm().item(), rel=TIGHT)
    assert of_update["l2_norm"] == pytest.approx(update.norm().item(), rel=TIGHT)
    assert of_update["ratio"] == pytest.approx((update.norm() / w.norm()).item(), rel=2 * TIGHT)


def check_counts(histograms: pd.DataFrame, readings: Reading) -> None:
    keys = ["step", "layer", "tensor"]
    groups = dict(list(histograms.groupby(keys)))
    assert len(groups) == len(readings)
    for (step, name), (gradient, *_) in readings.items():
        layer, leaf = name.split(".")
        rows = groups[step, layer, f"{leaf}_gradient"].set_index(["bin_left", "bin_right"])
        assert rows["count"].to_dict() == reference.log2_counts(gradient.flatten().tolist())


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=CASES)
def test_any_loop_is_recorded_as_its_twin_reads_it_and_trains_as_if_nobody_watched(
    case: Case,
) -> None:
    with TemporaryDirectory() as folder:
        check_against_twin(case, Path(folder) / "run")


@pytest.mark.parametrize("optimizer", ["SGD", "fused AdamW", "LBFGS", "two"])
def test_a_loop_is_recorded_as_its_twin_reads_it(optimizer: str, tmp_path: Path) -> None:
    check_against_twin(Case(optimizer, 4, "none", "float16", (3, 5)), tmp_path / "run")


@pytest.mark.parametrize("optimizer", ["SGD", "fused AdamW", "two"])
@pytest.mark.parametrize("clipping", ["none", "norm"])
def test_another_loss_scale_changes_nothing(optimizer: str, clipping: str, tmp_path: Path) -> None:
    case = Case(optimizer, 4, clipping, scale=2.0**4)
    tables = []
    for name, variation in (("low", case), ("high", replace(case, scale=2.0**20))):
        watched(Loop(variation), tmp_path / name)
        tables.append(
            [
                vanishing.read_run(tmp_path / name, table).drop(columns="variant")
                for table in ("trace", "trace_histograms", "steps", "parameters")
            ]
        )
    for low, high in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(low, high, check_exact=True)
