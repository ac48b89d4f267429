"""Training on a GPU: its captured steps against the same steps kernel by kernel."""

import copy
import warnings
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from vanishing.datasets.examples import Examples
from vanishing.networks.mlp import build
from vanishing.params.optimizers import Adagrad, Adam, AdamW, RmsProp, Sgd
from vanishing.params.study import Training, Variant
from vanishing.seeds import generator
from vanishing.training.loop import Outcome, State, train

GPU = torch.device("cuda")
SETTINGS = Training(
    epochs=2,
    batch_size=100,
    optimizer=Sgd(name="sgd", learning_rate=0.05, momentum=0.9),
    clip_norm="none",
    precision="float32",
    snapshots=(0, 2),
    evaluation_size=500,
    trace_every=7,
    device="cuda",
)


class Unrecorded:
    """The progress of a training that shows nothing, and its states where they are asked for."""

    def __init__(self, resumed: State | None = None) -> None:
        self.resumed = resumed
        self.states: list[State] = []

    def snapshot(self, epoch: int) -> None:
        """Do nothing."""

    def keep(self, state: State) -> None:
        """Keep a copy."""
        self.states.append(copy.deepcopy(state))

    def step(self) -> None:
        """Do nothing."""

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Do nothing."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Do nothing."""


class ReadsFromTheDevice(nn.Module):
    """A network whose forward pass waits for the device, so that it cannot be captured."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network."""
        assert x.sum().item() == x.sum().item()
        logits: Tensor = self.network(x)
        return logits


def make_examples(count: int, device: torch.device = GPU) -> Examples:
    """Draw points around one centre for each class."""
    rng = torch.Generator().manual_seed(count)
    centres = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(10, (count,), generator=rng)
    points = centres[labels] + torch.randn(count, 64, generator=rng)
    return Examples(points.to(device), labels.to(device))


def make_network(normalization: str = "none", device: torch.device = GPU) -> nn.Module:
    """Build a small tanh network, the same every time."""
    variant = Variant.model_validate(
        {
            "activation": "tanh",
            "depth": 4,
            "width": 96,
            "init": "default",
            "normalization": normalization,
            "skip": False,
        }
    )
    return build(variant, 64, 10, generator(0, "initialisation")).to(device)


def run(
    network: nn.Module,
    archive: Unrecorded | None = None,
    count: int = 2_030,
    settings: Training = SETTINGS,
) -> Outcome:
    """Train on examples whose last batch is smaller."""
    device = next(network.parameters()).device
    data = {"train": make_examples(count, device), "test": make_examples(500, device)}
    archive = archive or Unrecorded()
    return train(network, settings, data, generator(0, "order"), archive, archive)


def frame(pieces: Any) -> pd.DataFrame:
    """Return the pieces of a table as a frame."""
    return pd.concat(map(pd.DataFrame, pieces), ignore_index=True)


def check_close(outcome: Outcome, expected: Outcome, tolerance: float) -> None:
    """Check that two trainings differ by rounding alone."""
    pd.testing.assert_frame_equal(
        pd.DataFrame(outcome.losses), pd.DataFrame(expected.losses), rtol=tolerance
    )
    trace, expected_trace = frame(outcome.trace), frame(expected.trace)
    norms = trace["statistic"] == "l2_norm"
    assert sorted(trace["step"].unique()) == [1, 7, 14, 21, 28, 35, 42]
    pd.testing.assert_frame_equal(trace[norms], expected_trace[norms], rtol=tolerance)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_captured_steps_are_those_that_run_kernel_by_kernel(normalization: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        captured = run(make_network(normalization))
    with pytest.warns(UserWarning, match="kernel by kernel"):
        eager = run(ReadsFromTheDevice(make_network(normalization)))
    eager_trace = [piece | {"layer": _unwrapped(piece["layer"])} for piece in eager.trace]
    check_close(captured, eager._replace(trace=eager_trace), 1e-4)


OTHERS: list[dict[str, Any]] = [
    {"optimizer": Adam(name="adam", learning_rate=0.001), "clip_norm": 0.5},
    {"optimizer": AdamW(name="adamw", learning_rate=0.001)},
    {"optimizer": RmsProp(name="rmsprop", learning_rate=0.001, momentum=0.5)},
    {"clip_norm": 0.1},
    {"precision": "bfloat16"},
]


@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_steps_of_any_training_are_captured(changes: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update=changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        captured = run(make_network(), settings=settings)
    with pytest.warns(UserWarning, match="kernel by kernel"):
        eager = run(ReadsFromTheDevice(make_network()), settings=settings)
    eager_trace = [piece | {"layer": _unwrapped(piece["layer"])} for piece in eager.trace]
    tolerance = 0.05 if "precision" in changes else 1e-3
    check_close(captured, eager._replace(trace=eager_trace), tolerance)


def test_an_optimizer_that_cannot_be_captured_takes_the_same_steps() -> None:
    adagrad = Adagrad(name="adagrad", learning_rate=0.01)
    settings = SETTINGS.model_copy(update={"optimizer": adagrad})
    with pytest.warns(UserWarning, match="kernel by kernel"):
        on_gpu = run(make_network(), settings=settings)
    on_cpu = run(make_network(device=torch.device("cpu")), settings=settings)
    check_close(on_gpu, on_cpu, 1e-2)


def _unwrapped(layers: list[str]) -> list[str]:
    return [layer.removeprefix("network.") for layer in layers]


def test_a_gpu_and_a_cpu_differ_by_rounding() -> None:
    check_close(run(make_network()), run(make_network(device=torch.device("cpu"))), 1e-3)


def test_the_same_training_has_the_same_bytes_and_a_resumed_one_too() -> None:
    whole = Unrecorded()
    network = make_network("batch")
    expected = run(network, whole)
    for archive in (Unrecorded(), Unrecorded(whole.states[0])):
        again = make_network("batch")
        outcome = run(again, archive)
        assert outcome.history == expected.history
        assert outcome.losses == expected.losses
        assert frame(outcome.trace).equals(frame(expected.trace))
        assert frame(outcome.trace_histograms).equals(frame(expected.trace_histograms))
        for name, values in again.state_dict().items():
            assert torch.equal(values, network.state_dict()[name]), name


def test_examples_that_fill_no_batch_are_trained_on() -> None:
    outcome = run(make_network(), count=60)
    assert [row["step"] for row in outcome.losses] == [1, 2]
