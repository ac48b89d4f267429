"""The benchmarks of watching: their truth, their verdicts and their arithmetic.

Other tools are installed for `make bench` alone. Here are ours, and loops that misread on purpose.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import networks, public_models, watching
from benchmarks.cases import CASES, STEPS
from benchmarks.correctness import ByHand, expected, judge, read_by_hand
from benchmarks.small_networks import mlp
from benchmarks.watchers import OURS
from benchmarks.watchers.ours import Ours
from benchmarks.watchers.wandb_watch import _file_records
from benchmarks.watchers.watcher import Quantity, Records, Watcher


class Hooked(Watcher):
    """Keeps the norm of each parameter's gradient as a hook of the backward pass sees it."""

    def __enter__(self) -> "Hooked":
        self._records: Records = {}
        for name, parameter in self.model.named_parameters():
            parameter.register_hook(self._keep(name))  # type: ignore[no-untyped-call]
        return self

    def _keep(self, name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            norm = gradient.double().norm().item()
            self._records.setdefault(self.step, {})[name] = (norm,)

        return hook

    def records(self) -> Records:
        """Return the norms."""
        return self._records


class OfOutputs(Watcher):
    """Keeps the norm of each module's output gradient, of the last backward pass."""

    quantity = Quantity("output", "norm")

    def __enter__(self) -> "OfOutputs":
        self._records: Records = {}
        for name, module in self.model.named_modules():
            module.register_full_backward_hook(self._keep(name))
        return self

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            norm = outputs[0].double().norm().item()
            self._records.setdefault(self.step, {})[name] = (norm,)

        return hook

    def records(self) -> Records:
        """Return the norms."""
        return self._records


class Crashing(Watcher):
    """Fails in the middle of a training."""

    def after_step(self, loss: Tensor) -> None:
        """Fail."""
        raise RuntimeError(f"no step with loss {loss}")


class Meddling(Watcher):
    """Changes the gradients."""

    def before_step(self, part: nn.Module, prefix: str = "") -> None:
        """Double the gradients."""
        for parameter in part.parameters():
            assert parameter.grad is not None, prefix
            parameter.grad *= 2


@pytest.mark.parametrize("name", CASES)
def test_ours_records_what_the_optimizer_used(name: str) -> None:
    assert judge(Ours, CASES[name], read_by_hand(CASES[name])) == "right"


@pytest.mark.parametrize(
    ("tool", "name", "verdict"),
    [
        (Hooked, "plain SGD", "right"),
        (Hooked, "accumulation of 4 micro-batches", "wrong"),
        (Hooked, "clipping by value", "wrong"),
        (Hooked, "fused AdamW, GradScaler", "wrong"),
        (Hooked, "two optimizers", "wrong"),
        (OfOutputs, "plain SGD", "right"),
        (OfOutputs, "accumulation of 4 micro-batches", "wrong"),
        (OfOutputs, "clipping by the norm", "not recorded"),
        (OfOutputs, "a module called twice", "wrong"),
        (OfOutputs, "`o += x`", "crash"),
        (Watcher, "plain SGD", "not recorded"),
        (Crashing, "plain SGD", "crash"),
        (Meddling, "plain SGD", "changes the weights"),
    ],
)
def test_a_verdict_says_how_a_tool_misreads(
    tool: type[Watcher], name: str, verdict: str, recwarn: pytest.WarningsRecorder
) -> None:
    assert judge(tool, CASES[name], read_by_hand(CASES[name])) == verdict
    assert not recwarn


@pytest.mark.parametrize("name", ["LSTM", "GAN", "tied embeddings", "LoRA"])
def test_ours_manages_public_models(name: str) -> None:
    assert public_models.judge(Ours, name, public_models.train_twin(name)) == "managed"


@pytest.mark.parametrize(
    ("tool", "name", "verdict"),
    [
        (Hooked, "LSTM", "managed"),
        (OfOutputs, "LSTM", "managed"),
        (Watcher, "GAN", "lacks layers"),
        (Crashing, "LSTM", "crash"),
        (Meddling, "LSTM", "changes the training"),
    ],
)
def test_a_tool_manages_a_public_model_if_it_records_all_layers_and_changes_nothing(
    tool: type[Watcher], name: str, verdict: str
) -> None:
    assert public_models.judge(tool, name, public_models.train_twin(name)) == verdict


def test_a_skipped_step_has_no_gradient_that_was_used() -> None:
    twin = read_by_hand(CASES["a step that the scaler skips"])
    assert list(twin.parameters) == list(range(1, STEPS))


def test_truth_is_unscaled() -> None:
    case = CASES["fused AdamW, GradScaler"]
    norms = [
        expected(read_by_hand(replace(case, loss_scale=scale)), case, ByHand.quantity)
        for scale in (1.0, 2.0**8)
    ]
    assert norms[0]
    assert norms[1]
    for name, (norm,) in norms[0][1].items():
        assert norms[1][1][name][0] == pytest.approx(norm, rel=0.01)  # float16 rounds differently


def test_absent_is_not_zero() -> None:
    twin = read_by_hand(CASES["absent and zero gradients"])
    norms = expected(twin, CASES["absent and zero gradients"], ByHand.quantity)
    assert norms
    assert norms[1]["zero.weight"] == (0.0,)
    assert "absent.weight" not in norms[1]


def test_a_record_that_spans_blocks_of_a_log_is_read() -> None:
    def part(kind: int, content: bytes) -> bytes:
        return b"\0\0\0\0" + len(content).to_bytes(2, "little") + bytes([kind]) + content

    header, long = b"\0" * 7, bytes(range(256)) * 200
    room = 2**15 - 2 * 7
    first = header + part(2, long[:room])
    assert len(first) == 2**15
    assert list(_file_records(first + part(4, long[room:]) + part(1, b"end"))) == [long, b"end"]


@pytest.mark.parametrize("build", watching.NETWORKS.values())
def test_networks_of_the_speed_classify(build: watching.Build) -> None:
    model, batch = build()
    assert model(batch.inputs).shape == (len(batch.labels), 10)


def test_tools_are_timed_side_by_side_and_one_that_crashes_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build() -> tuple[nn.Module, networks.Batch]:
        return mlp(), networks.Batch(torch.randn(6, 4), torch.randint(3, (6,)))

    tools = {"plain": Watcher, OURS: Ours, "crashing": Crashing}
    monkeypatch.setattr(watching, "_TOOLS", tools)
    monkeypatch.setattr(watching, "_TURN_S", 0.0)
    monkeypatch.setattr(watching, "_REPEATS_BETWEEN", 2)
    before = Path.cwd()
    timing = watching.time_network(build, 2, "label")
    assert Path.cwd() == before
    assert timing.crashed == ["crashing"]
    for times in (timing.every_step, timing.between):
        assert {name: len(figures) for name, figures in times.items()} == {"plain": 2, OURS: 2}


def test_one_step_in_fifty_costs_a_fiftieth_of_the_recorded_one() -> None:
    timing = watching.Timing(
        {"plain": [1.0, 2.0, 1.0], OURS: [3.0, 6.0, 3.0]},
        {"plain": [1.0, 1.0, 4.0], OURS: [1.0, 1.0, 4.0]},
        flush_s=0.1,
        crashed=[],
    )
    np.testing.assert_allclose(watching.at_cadence(timing, OURS), 1.04)
    every_step, cadence = watching.summarise("a network", timing)
    assert every_step.value == 3
    assert cadence.value == pytest.approx(1.04 + 0.01)
    assert "1.040 to 1.040" in cadence.detail
