"""The training loop on real digits: what it records, and that it is reproducible."""

import copy
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests import reference
from vanishing.datasets.examples import SPLITS, Examples
from vanishing.datasets.examples import load as load_examples
from vanishing.networks.mlp import MLP, build
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.optimizers import Adam
from vanishing.params.study import Training
from vanishing.paths import RAW
from vanishing.recording.layers import weight_layers
from vanishing.seeds import generator
from vanishing.stats.fast import STATISTICS
from vanishing.training.loop import Outcome, State, evaluate, sample, train


class Listener:
    """Collects the progress that the loop reports."""

    def __init__(self) -> None:
        self.steps = 0
        self.traces: list[tuple[list[dict[str, Any]], float]] = []
        self.epochs: list[dict[str, Any]] = []

    def step(self) -> None:
        """Count a step."""
        self.steps += 1

    def trace(self, rows: list[dict[str, Any]], loss: float) -> None:
        """Collect the norms and the loss of a traced step."""
        self.traces.append((rows, loss))

    def epoch(self, row: dict[str, Any]) -> None:
        """Collect a row of the history."""
        self.epochs.append(row)


class Archive:
    """Collects the epochs of snapshots, and copies of the states."""

    def __init__(self, resumed: State | None = None) -> None:
        self.resumed = resumed
        self.snapshots: list[int] = []
        self.states: list[State] = []

    def snapshot(self, epoch: int) -> None:
        """Collect the number of an epoch."""
        self.snapshots.append(epoch)

    def keep(self, state: State) -> None:
        """Collect a copy of a state."""
        self.states.append(copy.deepcopy(state))


@pytest.fixture(scope="module")
def examples(judged_folder: Path) -> dict[str, Examples]:
    """Give the fixture's digits."""
    data = load(Params, judged_folder / "params.yaml").data
    return {split: load_examples(judged_folder / RAW, split, data) for split in SPLITS}


def fresh_network(params: Params, name: str = "relu", seed: int = 0) -> MLP:
    """Return a variant's network as training begins with it."""
    return build(params.perceptrons[name], 784, 10, generator(seed, "initialisation"))


def changed(params: Params, **changes: Any) -> Training:
    """Return the settings of a training with some changed, `learning_rate` of the optimizer."""
    settings = params.train.of_one_seed()
    if rate := changes.pop("learning_rate", None):
        changes["optimizer"] = settings.optimizer.model_copy(update={"learning_rate": rate})
    return settings.model_copy(update=changes)


def run(params: Params, examples: dict[str, Examples], **changes: Any) -> tuple[MLP, Outcome]:
    """Train the tiny relu network."""
    settings = changed(params, **changes)
    network, order = fresh_network(params), generator(0, "order")
    return network, train(network, settings, examples, order, Archive(), Listener())


def test_history_has_a_row_per_epoch_and_the_loss_falls(
    settings: Params, examples: dict[str, Examples]
) -> None:
    _, outcome = run(settings, examples, learning_rate=0.1)
    assert [(row["epoch"], row["step"]) for row in outcome.history] == [(0, 0), (1, 20), (2, 40)]
    losses = [row["train_loss"] for row in outcome.history]
    assert losses[0] == pytest.approx(math.log(10), abs=0.1)
    assert losses[2] < losses[1] < losses[0]
    assert outcome.history[2]["test_accuracy"] > 0.3


def test_first_steps_are_those_of_momentum_written_out(
    settings: Params, examples: dict[str, Examples]
) -> None:
    few = {split: part.first(200) for split, part in examples.items()}
    trained, _ = run(settings, few)
    twin = fresh_network(settings)
    velocity = [torch.zeros_like(p) for p in twin.parameters()]
    order = generator(0, "order")
    for _ in range(2):
        permutation = torch.randperm(200, generator=order)
        for chosen in (permutation[:100], permutation[100:]):
            twin.zero_grad()
            loss = cross_entropy(twin(few["train"].inputs[chosen]), few["train"].labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for p, v in zip(twin.parameters(), velocity, strict=True):
                    assert p.grad is not None
                    v.mul_(0.9).add_(p.grad)
                    p.sub_(v, alpha=0.01)
    for p, q in zip(trained.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_snapshots_are_saved_when_they_are_due(
    settings: Params, examples: dict[str, Examples]
) -> None:
    archive = Archive()
    due = changed(settings, snapshots=(0, 2))
    train(fresh_network(settings), due, examples, generator(0, "order"), archive, Listener())
    assert archive.snapshots == [0, 2]


def frame(pieces: Any) -> pd.DataFrame:
    """Return the pieces of a table as a frame."""
    return pd.concat(map(pd.DataFrame, pieces), ignore_index=True)


def test_trace_holds_norms_at_its_cadence(settings: Params, examples: dict[str, Examples]) -> None:
    network, outcome = run(settings, examples)
    trace = frame(outcome.trace)
    assert trace["step"].unique().tolist() == [1, 10, 20, 30, 40]
    assert trace["layer"].unique().tolist() == list(weight_layers(network))
    norms = trace[(trace["step"] == 1) & (trace["statistic"] == "l2_norm")]
    by_tensor = norms.set_index(["layer", "tensor"])["value"]
    for layer in weight_layers(network):  # at the first step momentum has no past
        expected = settings.train.optimizer.learning_rate * by_tensor[layer, "weight_gradient"]
        assert by_tensor[layer, "update"] == pytest.approx(expected, rel=1e-3)


def test_trace_describes_the_gradients_of_the_batch(
    settings: Params, examples: dict[str, Examples]
) -> None:
    _, outcome = run(settings, examples)
    twin = fresh_network(settings)
    images, labels = examples["train"]
    chosen = torch.randperm(len(labels), generator=generator(0, "order"))[:100]
    cross_entropy(twin(images[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
    trace, bins = frame(outcome.trace), frame(outcome.trace_histograms)
    trace, bins = trace[trace["step"] == 1], bins[bins["step"] == 1]
    for name, layer in weight_layers(twin).items():
        for tensor, gradient in (
            ("weight_gradient", layer.get_parameter("weight").grad),
            ("bias_gradient", layer.get_parameter("bias").grad),
        ):
            assert gradient is not None
            rows = trace[(trace["layer"] == name) & (trace["tensor"] == tensor)]
            values = rows.set_index("statistic")["value"].to_dict()
            assert list(values) == [*STATISTICS]
            expected = reference.summary(gradient.flatten().tolist())
            for statistic in (s for s in STATISTICS if s in expected):
                value = pytest.approx(expected[statistic], rel=1e-4, abs=1e-9)
                assert values[statistic] == value, statistic
            counts = bins[(bins["layer"] == name) & (bins["tensor"] == tensor)]
            counted = counts.set_index(["bin_left", "bin_right"])["count"].to_dict()
            assert counted == reference.log2_counts(gradient.flatten().tolist())


def test_losses_of_all_steps_average_to_the_running_mean(
    settings: Params, examples: dict[str, Examples]
) -> None:
    _, outcome = run(settings, examples)
    assert [row["step"] for row in outcome.losses] == list(range(1, 41))
    for epoch in (1, 2):
        losses = [row["loss"] for row in outcome.losses if row["epoch"] == epoch]
        assert len(losses) == 20
        expected = outcome.history[epoch]["train_loss"]
        assert sum(losses) / 20 == pytest.approx(expected)  # all batches have the same size


def test_training_loss_at_the_end_of_an_epoch_is_of_the_same_weights_as_the_test_loss(
    settings: Params, examples: dict[str, Examples]
) -> None:
    network, outcome = run(settings, examples, evaluation_size=700)
    last = outcome.history[-1]
    assert evaluate(network, examples["test"])[0] == last["test_loss"]
    again = sample(examples["train"], 700)
    assert len(again.labels) == 700
    assert evaluate(network, again) == (last["train_loss_end"], last["train_accuracy_end"])
    assert torch.equal(again.labels, sample(examples["train"], 700).labels)
    assert last["train_loss_end"] < last["train_loss"]  # the mean over a falling loss


def test_a_sample_larger_than_the_examples_is_all_of_them() -> None:
    five = Examples(torch.arange(5.0).reshape(5, 1), torch.arange(5))
    assert sorted(sample(five, 9).labels.tolist()) == [0, 1, 2, 3, 4]


def test_the_progress_that_is_reported_is_the_one_that_is_recorded(
    settings: Params, examples: dict[str, Examples]
) -> None:
    listener, network, order = Listener(), fresh_network(settings), generator(0, "order")
    outcome = train(network, changed(settings), examples, order, Archive(), listener)
    assert listener.steps == 40
    assert listener.epochs == outcome.history
    reported = pd.DataFrame([row for rows, _ in listener.traces for row in rows])
    recorded = frame(outcome.trace)
    keys = ["step", "layer_index", "layer", "tensor", "statistic"]
    pd.testing.assert_frame_equal(
        reported.sort_values(keys, ignore_index=True)[[*keys, "value"]],
        recorded[recorded["statistic"] == "l2_norm"].sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    by_step = {row["step"]: row["loss"] for row in outcome.losses}
    assert [loss for _, loss in listener.traces] == [by_step[step] for step in (1, 10, 20, 30, 40)]


@pytest.mark.parametrize("name", ["relu", "sigmoid-batchnorm"])
def test_a_resumed_training_ends_as_if_it_had_never_stopped(
    settings: Params, examples: dict[str, Examples], name: str
) -> None:
    longer = changed(settings, epochs=3, snapshots=(0, 2, 3))

    def train_once(seed: int, archive: Archive) -> tuple[MLP, Outcome, Listener]:
        listener, network = Listener(), fresh_network(settings, name, seed)
        order = generator(seed, "order")
        return network, train(network, longer, examples, order, archive, listener), listener

    whole = Archive()
    expected_network, expected, _ = train_once(0, whole)
    for epoch in (1, 2, 3):
        archive = Archive(copy.deepcopy(whole.states[epoch - 1]))
        network, outcome, listener = train_once(1, archive)  # all but the state differs
        assert archive.snapshots == [snapshot for snapshot in (2, 3) if snapshot > epoch]
        assert outcome.history == expected.history == listener.epochs
        assert outcome.losses == expected.losses
        assert frame(outcome.trace).equals(frame(expected.trace))
        assert frame(outcome.trace_histograms).equals(frame(expected.trace_histograms))
        weights, expected_weights = network.state_dict(), expected_network.state_dict()
        assert weights.keys() == expected_weights.keys()
        assert all(torch.equal(weights[key], expected_weights[key]) for key in weights)


def test_divergence_is_recorded(settings: Params, examples: dict[str, Examples]) -> None:
    _, outcome = run(settings, examples, learning_rate=1e30)
    assert not math.isfinite(outcome.history[-1]["train_loss"])
    assert len(outcome.history) == 3


@pytest.mark.parametrize("name", ["relu", "sigmoid-batchnorm"])
def test_examples_of_a_single_class_are_trained_on_like_any(
    settings: Params, examples: dict[str, Examples], name: str
) -> None:
    is_three = examples["train"].labels == 3
    threes = Examples(examples["train"].inputs[is_three], examples["train"].labels[is_three])
    long = changed(settings, epochs=20, snapshots=(0, 20), trace_every=1)
    network, order = fresh_network(settings, name), generator(0, "order")
    outcome = train(network, long, examples | {"train": threes}, order, Archive(), Listener())
    assert outcome.history[-1]["train_accuracy_end"] == 1
    assert outcome.history[-1]["test_accuracy"] < 0.5
    norms = frame(outcome.trace).query("tensor == 'weight_gradient' and statistic == 'l2_norm'")
    by_step = norms.groupby("step")["value"].sum()
    assert 0 < by_step.iloc[-1] < 0.1 * by_step.iloc[0]


def test_evaluation_is_the_mean_over_all_examples(
    settings: Params, examples: dict[str, Examples]
) -> None:
    network = fresh_network(settings, "sigmoid-batchnorm")
    images, labels = examples["train"]  # 2,000 images: more than one pass
    loss, accuracy = evaluate(network, Examples(images, labels))
    network.eval()
    logits = network(images)
    assert loss == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == labels).double().mean().item()


def test_mixed_precision_rounds_products_and_keeps_weights_in_float32(
    settings: Params, examples: dict[str, Examples]
) -> None:
    exact, _ = run(settings, examples, epochs=1, snapshots=(0, 1))
    network, outcome = run(settings, examples, epochs=1, snapshots=(0, 1), precision="bfloat16")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    for mixed, full in zip(network.parameters(), exact.parameters(), strict=True):
        assert not torch.equal(mixed, full)
        torch.testing.assert_close(mixed, full, rtol=0.05, atol=0.01)
    assert outcome.history[-1]["test_loss"] == evaluate(network, examples["test"], "bfloat16")[0]
    assert outcome.history[-1]["test_loss"] != evaluate(network, examples["test"])[0]


def noisy() -> nn.Module:
    """Return a network with dropout and a frozen layer."""
    hidden = [nn.Flatten(), nn.Linear(784, 16), nn.Dropout(), nn.Linear(16, 16), nn.ReLU()]
    layers = nn.Sequential(*hidden, nn.Linear(16, 10))
    layers[3].requires_grad_(False)
    weights = generator(0, "initialisation")
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=0.1, generator=weights)
    return layers


def test_a_network_that_draws_is_resumed_to_the_same_draws(
    settings: Params, examples: dict[str, Examples]
) -> None:
    adam = Adam(name="adam", learning_rate=0.001)
    longer = changed(settings, epochs=3, snapshots=(0, 3), optimizer=adam, clip_norm=1.0)
    whole = Archive()
    expected_network = noisy()
    order = generator(0, "order")
    expected = train(expected_network, longer, examples, order, whole, Listener())
    network, archive = noisy(), Archive(copy.deepcopy(whole.states[0]))
    torch.manual_seed(5)
    outcome = train(network, longer, examples, generator(9, "order"), archive, Listener())
    assert outcome.losses == expected.losses
    assert frame(outcome.trace).equals(frame(expected.trace))
    for mine, theirs in zip(network.parameters(), expected_network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert set(frame(outcome.trace)["layer"]) == {"1", "5"}  # of the frozen one there is nothing
