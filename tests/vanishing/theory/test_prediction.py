"""The text of predictions for a variant."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.study import BASELINE, DIGITS, digit_checksums
from vanishing.datasets import examples
from vanishing.datasets.idx import raw_folder
from vanishing.datasets.sources import from_folder
from vanishing.errors import StudyError
from vanishing.params.data import Computed, Images
from vanishing.params.diagnose import Params
from vanishing.params.study import Built, Variant
from vanishing.paths import RAW
from vanishing.recording.initialisation import probe_seeds
from vanishing.theory.prediction import describe, second_moment

NETS = """
from torch import nn


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def dense():
    hidden = nn.Linear(784, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh()
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(50, 10))


def normalized():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.BatchNorm1d(50), nn.Linear(50, 10))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(28, 50, batch_first=True)
        self.output = nn.Linear(50, 10)

    def forward(self, x):
        states, _ = self.rnn(x.squeeze(1))
        return self.output(states[:, -1])
"""


@pytest.fixture
def data(settings: Params) -> Images:
    """Put the fixture's digits into the working directory; return the section that names them."""
    folder = raw_folder(RAW, "MNIST")
    folder.mkdir(parents=True)
    from_folder(str(DIGITS), folder, list(digit_checksums()))
    assert isinstance(settings.data, Images)
    return settings.data


def variant(**changes: Any) -> Variant:
    """Return the tiny baseline with some fields changed."""
    return Variant(**BASELINE | changes)


def number(text: str, label: str) -> float:
    """Return the number after a label of the text."""
    return float(text.split(f"{label}: ")[1].split(maxsplit=1)[0])


def test_attenuation_is_near_that_of_initialisations(data: Images) -> None:
    wide = variant(width=300)
    text = describe("wide", wide, data, 1e-7)
    probe = examples.load(RAW, "test", data).first(100)
    rows = probe_seeds(wide, probe, 10, 100, range(5))
    measured = [row["value"] for row in rows if row["statistic"] == "attenuation"]
    predicted = number(text, "attenuation at 3 hidden layers")
    assert predicted == pytest.approx(np.mean(measured), rel=0.1)


def test_depth_scale_is_that_of_the_last_layer_of_the_table(data: Images) -> None:
    text = describe("sigmoid", variant(), data, 1e-7)
    table = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in table] == ["0", "1", "2"]
    scale = number(text, "of the last hidden layer")
    assert scale == pytest.approx(-1 / math.log(float(table[-1][2])), rel=0.01)


def test_a_skip_connection_has_no_depth_scale(data: Images) -> None:
    assert "depth scale" not in describe("skip", variant(skip=True), data, 1e-7)


def test_depths_are_said_for_the_threshold_and_for_float32(data: Images) -> None:
    lines = describe("sigmoid", variant(), data, 1e-5).splitlines()
    threshold, smallest = lines[-2:]
    assert threshold.startswith("it falls below 1e-05, your threshold: from ")
    assert smallest.startswith("it falls below 1.18e-38, float32's smallest normal number: from ")
    shallow, deep = (int(line.split(": from ")[1].split()[0]) for line in (threshold, smallest))
    assert shallow < deep


def test_a_gradient_that_does_not_vanish_falls_below_at_no_depth(data: Images) -> None:
    text = describe("relu", variant(activation="relu", init="he_uniform"), data, 1e-9)
    assert text.splitlines()[-1].endswith("not up to 500")


def test_second_moment_is_that_of_the_training_images(data: Images) -> None:
    pixels, square = second_moment(data)
    images = examples.load(RAW, "train", data).inputs
    assert pixels == images[0].numel() == 784
    assert square == pytest.approx(images.double().square().mean().item(), rel=1e-6)


def test_a_variant_without_theory_is_refused_by_name(data: Images) -> None:
    with pytest.raises(StudyError, match="bn: no theory available: batch normalization"):
        describe("bn", variant(normalization="batch"), data, 1e-7)


def test_other_networks_are_followed_through_their_graph(
    data: Images, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "own_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(workspace))
    dense = describe("dense", Built(network="own_nets:dense"), data, 1e-7)
    rows = [line.split() for line in dense.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["0", "1"], ["1", "3"]]
    hop = float(rows[0][3])
    assert number(dense, "attenuation at 2 hidden layers") == pytest.approx(hop, rel=0.01)
    recurrent = describe("rnn", Built(network="own_nets:Recurrent"), data, 1e-7)
    start = "rnn hidden_gradient_l0, factor per time step from the first on: "
    (line,) = [line for line in recurrent.splitlines() if line.startswith(start)]
    assert "…" in line
    assert 0 < float(line.split("together ")[1]) < 1e-3
    with pytest.raises(StudyError, match=r"^flat: no theory available: it has no hidden layer"):
        describe("flat", Built(network="own_nets:flat"), data, 1e-7)
    with pytest.raises(StudyError, match=r"^bn: no theory available: 2: batch normalization"):
        describe("bn", Built(network="own_nets:normalized"), data, 1e-7)


def test_other_examples_are_refused_by_name() -> None:
    digits = Computed(dataset="own:digits", train_examples=10, test_examples=10)
    with pytest.raises(StudyError, match=r"x: predictions are of MNIST, .*; given own:digits"):
        describe("x", variant(), digits, 1e-7)
