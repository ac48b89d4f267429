"""The text of predictions for a variant."""

import math
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


def test_other_networks_and_other_examples_are_refused_by_name(data: Images) -> None:
    net = Built(network="nets:build")
    with pytest.raises(StudyError, match=r"net: no theory available: .* nets:build ret"):
        describe("net", net, data, 1e-7)
    digits = Computed(dataset="own:digits", train_examples=10, test_examples=10)
    with pytest.raises(StudyError, match=r"x: predictions are of MNIST, .*; given own:digits"):
        describe("x", variant(), digits, 1e-7)
