"""A training: the same twice, watched or not; a healthy one learns and a sick one does not."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import vanishing
from benchmarks.zoo import data, training
from benchmarks.zoo.cases import CASES, FAULTS, Case
from benchmarks.zoo.training import train
from stages import download
from tests.support import study
from vanishing.seeds import generator

BY_NAME = {case.name: case for case in CASES}
REFERENCE = BY_NAME["digits-mlp-relu-1-adam"]
STEPS = 60


def watch_in(folder: Path) -> training.Watch:
    return partial(vanishing.watch, folder=folder)


def sick(fault: str, base: Case = REFERENCE) -> Case:
    """Give the fields of a fault to a base that may not have it among CASES."""
    return next(f for f in FAULTS if f.name == fault).inflict(base)


def test_the_same_twice_and_other_numbers_with_another_seed() -> None:
    state = torch.get_rng_state()
    first = train(REFERENCE, 0, 20)
    assert train(REFERENCE, 0, 20) == first
    assert train(REFERENCE, 1, 20).losses != first.losses
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first.losses) == 20
    assert len(first.accuracies) == len(training.CHECKPOINTS)


def test_a_watched_training_is_the_same_and_leaves_its_trace(tmp_path: Path) -> None:
    watched = train(REFERENCE, 0, 20, watch_in(tmp_path / "run"))
    assert watched == train(REFERENCE, 0, 20)
    steps = vanishing.read_run(tmp_path / "run", "steps")
    assert len(steps) == 20


def test_a_healthy_case_learns_and_sick_ones_do_not() -> None:
    assert train(REFERENCE, 0, STEPS).accuracies[-1] > 0.7
    for fault in ("rate-1e-5-fold", "shuffled-labels", "weights-constant"):
        assert train(sick(fault), 0, STEPS).accuracies[-1] < 0.35, fault
    diverged = train(sick("nan-in-data"), 0, STEPS)
    assert math.isnan(diverged.losses[-1])


@pytest.mark.parametrize(
    "fault",
    ["no-zero-grad", "summed-loss", "double-softmax", "sorted-labels", "warm-up-5000"],
)
def test_faults_of_the_loop_change_the_training(fault: str) -> None:
    assert train(sick(fault), 0, 10).losses != train(REFERENCE, 0, 10).losses


def test_a_tuned_network_keeps_its_base() -> None:
    case = replace(BY_NAME["mnist-mlp-relu-2-w128-adam-tuned"], dataset="digits", pretraining=5)
    network = training.build(case, data.load("digits"), 0)
    trainable = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trainable == ["head.weight", "head.bias"]
    assert len(train(case, 0, 5).losses) == 5


def test_each_kind_of_network_trains_under_a_watch(tmp_path: Path) -> None:
    digits = [case for case in CASES if case.dataset == "digits"]
    for network in sorted({case.network for case in digits}):
        case = next(case for case in digits if case.network == network)
        assert len(train(case, 0, 2, watch_in(tmp_path / network)).losses) == 2


def test_digits_are_scaled_as_the_study_scales() -> None:
    digits = data.load("digits")
    assert (len(digits.train.labels), len(digits.test.labels), digits.side) == (1_297, 500, 8)
    assert digits.train.inputs.shape == (1_297, 1, 8, 8)
    assert (float(digits.train.inputs.min()), float(digits.train.inputs.max())) == (-1, 1)
    assert 0.1 < digits.largest_class < 0.13


@pytest.mark.parametrize("defect", sorted(data.DEFECTS))
def test_defects_leave_the_examples_of_others_alone(defect: str) -> None:
    digits = data.load("digits")
    before = digits.train.inputs.clone(), digits.train.labels.clone()
    other = data.DEFECTS[defect](digits, generator(0, "test"))
    assert not (
        torch.equal(other.train.inputs, digits.train.inputs)
        and torch.equal(other.train.labels, digits.train.labels)
    )
    assert torch.equal(digits.train.inputs, before[0])
    assert torch.equal(digits.train.labels, before[1])
    assert torch.equal(other.test.labels, digits.test.labels)


def test_unscaled_inputs_are_pixels() -> None:
    unscaled = data.DEFECTS["unscaled"](data.load("digits"), generator(0, "test"))
    for split in unscaled:
        assert (float(split.inputs.min()), float(split.inputs.max())) == (0, 255)


@pytest.fixture
def fixture_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the fixture's images of MNIST in the working directory's data/raw."""
    study.write_params(tmp_path, study.tiny_params())
    monkeypatch.chdir(tmp_path)
    download.main([])
    data.load.cache_clear()


@pytest.mark.usefixtures("fixture_digits")
def test_mnist_is_read_as_the_study_reads_it() -> None:
    try:
        mnist = data.load("mnist")
        assert mnist.train.inputs.shape[1:] == (1, 28, 28)
        assert (float(mnist.train.inputs.min()), float(mnist.train.inputs.max())) == (-1, 1)
        healthy = train(BY_NAME["mnist-lenet-relu-adam"], 0, STEPS)
        assert healthy.accuracies[-1] > 0.6
    finally:
        data.load.cache_clear()
