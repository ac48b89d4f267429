"""What a watch records of whole networks: inputs, outputs, kept gradients, running statistics."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

import vanishing
from vanishing import read_run

Step = Callable[[nn.Module, SGD, Tensor, Tensor], None]


def backward(model: nn.Module, x: Tensor, labels: Tensor, share: float = 1.0) -> None:
    """Compute the gradients of a batch."""
    (share * cross_entropy(model(x), labels)).backward()  # type: ignore[no-untyped-call]


def reset_first(model: nn.Module, optimizer: SGD, x: Tensor, labels: Tensor) -> None:
    """Take a step as most loops do."""
    optimizer.zero_grad()
    backward(model, x, labels)
    optimizer.step()


def reset_to_zeros_between(model: nn.Module, optimizer: SGD, x: Tensor, labels: Tensor) -> None:
    """Reset between the forward and the backward pass, to zeros instead of None."""
    loss = cross_entropy(model(x), labels)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def accumulate(model: nn.Module, optimizer: SGD, x: Tensor, labels: Tensor) -> None:
    """Take a step of two micro-batches."""
    for part in (slice(0, 16), slice(16, 32)):
        backward(model, x[part], labels[part], 0.5)
    optimizer.step()
    optimizer.zero_grad()


def never_reset(model: nn.Module, optimizer: SGD, x: Tensor, labels: Tensor) -> None:
    """Forget to reset gradients."""
    backward(model, x, labels)
    optimizer.step()


def train(model: nn.Module, folder: Path, step: Step = reset_first, steps: int = 3) -> pd.DataFrame:
    """Train a few steps under a watch; return the trace."""
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(32, 6, generator=generator), torch.arange(32) % 3
    with vanishing.watch(model, optimizer, folder=folder):
        for _ in range(steps):
            step(model, optimizer, x, labels)
    return read_run(folder, "trace")


def values(trace: pd.DataFrame, tensor: str, statistic: str) -> list[float]:
    """Return a statistic, step by step."""
    rows = trace[(trace["tensor"] == tensor) & (trace["statistic"] == statistic)]
    return [float(value) for value in rows.sort_values("step")["value"]]


def make_model() -> nn.Sequential:
    """Make a network for six features and three classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_inputs_and_answers_are_recorded_with_no_labels_given(tmp_path: Path) -> None:
    trace = train(make_model(), tmp_path / "run")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 6, generator=generator)
    assert values(trace, "input", "mean") == pytest.approx([float(x.mean())] * 3)
    assert values(trace, "input", "max_abs") == pytest.approx([float(x.abs().max())] * 3)
    assert values(trace, "output", "largest_class") == pytest.approx([11 / 32] * 3)
    assert values(trace, "output", "scale") == pytest.approx([1] * 3, rel=1e-4)
    assert all(0 < share < 1 for share in values(trace, "output", "dependence"))


def test_the_accuracy_is_that_of_the_labels_which_the_loss_was_given(tmp_path: Path) -> None:
    model = make_model()
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(32, 6, generator=generator), torch.arange(32) % 3
    with torch.no_grad():  # batch normalization has the batch's statistics
        right = float((model(x).argmax(1) == labels).double().mean())
    assert values(train(model, tmp_path / "run"), "output", "accuracy")[0] == pytest.approx(right)


@pytest.mark.parametrize("step", [reset_first, reset_to_zeros_between, accumulate])
def test_gradients_that_are_reset_are_not_kept(step: Step, tmp_path: Path) -> None:
    trace = train(make_model(), tmp_path / "run", step)
    assert values(trace, "output", "gradient_kept") == [0, 0]  # from the second step on


def test_gradients_that_nobody_resets_are_kept(tmp_path: Path) -> None:
    trace = train(make_model(), tmp_path / "run", never_reset)
    assert values(trace, "output", "gradient_kept") == [1, 1]


def test_a_gradient_that_the_optimizer_does_not_hold_is_not_its_business(tmp_path: Path) -> None:
    model = make_model()
    optimizer = SGD(model[3].parameters(), lr=0.01)
    x, labels = torch.randn(32, 6), torch.arange(32) % 3
    with vanishing.watch(model, optimizer, folder=tmp_path / "run"):
        for _ in range(3):
            reset_first(model, optimizer, x, labels)  # those of the first layers pile up
    trace = read_run(tmp_path / "run", "trace")
    assert values(trace, "output", "gradient_kept") == [0, 0]


def test_micro_batches_are_averaged(tmp_path: Path) -> None:
    trace = train(make_model(), tmp_path / "run", accumulate)
    assert values(trace, "output", "scale") == pytest.approx([0.5] * 3, rel=1e-4)
    assert values(trace, "output", "largest_class") == pytest.approx([6 / 16] * 3)


def test_a_normalization_says_which_statistics_it_takes(tmp_path: Path) -> None:
    model = make_model()
    normalization = model[1]
    assert isinstance(normalization, nn.BatchNorm1d)
    normalization.momentum = 0.2
    trace = train(model, tmp_path / "training")
    assert values(trace, "running_statistics", "used") == [0] * 3
    assert values(trace, "running_statistics", "momentum") == [0.2] * 3
    normalization.eval()
    assert values(train(model, tmp_path / "frozen"), "running_statistics", "used") == [1] * 3


def test_passes_without_a_gradient_are_no_answers(tmp_path: Path) -> None:
    model = make_model()

    def with_validation(model: nn.Module, optimizer: SGD, x: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            model(x + 100)
        reset_first(model, optimizer, x, labels)

    trace = train(model, tmp_path / "run", with_validation)
    assert max(values(trace, "input", "max_abs")) < 10


def test_outputs_that_nobody_takes_for_logits_have_no_labels(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 1))
    optimizer = SGD(model.parameters(), lr=0.01)
    with vanishing.watch(model, optimizer, folder=tmp_path / "run"):
        loss = model(torch.randn(8, 6)).square().mean()
        loss.backward()
        optimizer.step()
    trace = read_run(tmp_path / "run", "trace")
    assert values(trace, "output", "dependence")
    assert not values(trace, "output", "accuracy")
