"""The trace of a training, against its twins and against the parameters before and after a step."""

from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from tests import reference
from vanishing.recording.trace import Trace
from vanishing.stats.fast import STATISTICS

LEARNING_RATE = 0.1


@pytest.fixture
def network(rng: torch.Generator) -> nn.Sequential:
    """Draw a small network with a bias, without one, and with batch normalization."""
    network = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3, bias=False)
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=rng)
    return network


def table(pieces: list[Any]) -> pd.DataFrame:
    """Return the pieces of a table as a frame."""
    return pd.concat(map(pd.DataFrame, pieces), ignore_index=True)


def take_step(network: nn.Module, trace: Trace, step: int, rng: torch.Generator) -> Any:
    """Take a traced step of gradient descent, and return the rows that the trace reads."""
    network.zero_grad()
    loss = network(torch.randn(10, 6, generator=rng)).square().mean()
    loss.backward()
    observer = trace.observer()
    with torch.no_grad():
        for parameter in network.parameters():
            assert parameter.grad is not None
            observer.before(parameter, parameter.grad)
            parameter.sub_(parameter.grad, alpha=LEARNING_RATE)
            observer.after(parameter)
    observer.close()
    rows, read_loss = trace.read(step, observer, loss)
    assert read_loss == loss.item()
    return rows


def linears(network: nn.Sequential) -> dict[str, nn.Linear]:
    """Return {name: weight layer}."""
    return {name: m for name, m in network.named_children() if isinstance(m, nn.Linear)}


def test_statistics_and_histograms_of_gradients_agree_with_their_twins(
    network: nn.Sequential, rng: torch.Generator
) -> None:
    trace = Trace(network)
    take_step(network, trace, 1, rng)
    statistics = table(trace.statistics()).groupby(["layer", "tensor"])
    histograms = table(trace.histograms()).groupby(["layer", "tensor"])
    gradients = {
        (name, f"{parameter_name}_gradient"): parameter.grad
        for name, layer in linears(network).items()
        for parameter_name, parameter in layer.named_parameters()
    }
    assert set(histograms.groups) == set(gradients)
    for key, gradient in gradients.items():
        assert gradient is not None
        values = gradient.flatten().tolist()
        expected = reference.summary(values)
        recorded = statistics.get_group(key).set_index("statistic")["value"]
        assert list(recorded.index) == list(STATISTICS)
        for statistic in set(STATISTICS) & set(expected):
            twin = pytest.approx(expected[statistic], rel=1e-4, abs=1e-7)
            assert recorded[statistic] == twin, statistic
        bins = histograms.get_group(key).set_index(["bin_left", "bin_right"])["count"]
        assert bins.to_dict() == reference.log2_counts(values)


def test_norms_are_of_the_weights_before_the_step_and_of_the_update(
    network: nn.Sequential, rng: torch.Generator
) -> None:
    trace = Trace(network)
    before = {name: layer.weight.detach().clone() for name, layer in linears(network).items()}
    rows = take_step(network, trace, 1, rng)
    norms = {(row["layer"], row["tensor"]): row["value"] for row in rows}
    for name, weight in before.items():
        update = linears(network)[name].weight.detach() - weight
        assert norms[name, "weight"] == pytest.approx(weight.norm().item(), rel=1e-5)
        assert norms[name, "update"] == pytest.approx(update.norm().item(), rel=1e-5)
        gradient = norms[name, "weight_gradient"]
        assert norms[name, "update"] == pytest.approx(LEARNING_RATE * gradient, rel=1e-5)


def test_rows_read_at_a_step_are_the_l2_norms_of_the_table(
    network: nn.Sequential, rng: torch.Generator
) -> None:
    trace = Trace(network)
    rows = [row for step in (1, 10, 20) for row in take_step(network, trace, step, rng)]
    recorded = table(trace.statistics())
    columns = ["step", "layer_index", "layer", "tensor", "statistic", "value"]
    assert list(recorded) == columns
    norms = recorded[recorded["statistic"] == "l2_norm"]
    expected = {tuple(row[column] for column in columns) for row in rows}
    assert set(norms.itertuples(index=False, name=None)) == expected
    assert len(norms) == len(rows) == 3 * 3 * 3


def test_a_restored_trace_continues_as_one_that_was_never_interrupted(
    network: nn.Sequential, rng: torch.Generator
) -> None:
    whole = Trace(network)
    take_step(network, whole, 1, rng)
    resumed = Trace(network)
    resumed.restore({name: tensor.clone() for name, tensor in whole.state().items()})
    weights, state = {k: v.clone() for k, v in network.state_dict().items()}, rng.get_state()
    for trace in (whole, resumed):
        network.load_state_dict(weights)
        rng.set_state(state)
        take_step(network, trace, 2, rng)
    for columns, expected in (
        (resumed.statistics(), whole.statistics()),
        (resumed.histograms(), whole.histograms()),
    ):
        pd.testing.assert_frame_equal(table(columns), table(expected), check_exact=True)
