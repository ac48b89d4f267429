"""Mean-field theory, against other ways to compute it and against real initialisations."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.study import BASELINE
from vanishing.activations import ACTIVATIONS
from vanishing.datasets.examples import Examples
from vanishing.params.study import Variant
from vanishing.recording.initialisation import probe_seeds
from vanishing.theory import meanfield


def variant(**changes: Any) -> Variant:
    """Return the baseline with 5 layers of 1000 units, with some fields changed."""
    return Variant(**BASELINE | {"depth": 5, "width": 1000} | changes)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("q", [1e-6, 0.1, 2.0, 500.0])
def test_moments_agree_with_a_fine_riemann_sum(name: str, q: float) -> None:
    z = np.linspace(-14, 14, 4_000_001) * math.sqrt(q)
    weight = np.exp(-(z**2) / (2 * q))
    weight /= weight.sum()
    activation = ACTIVATIONS[name]
    phi, slope = activation.function(z), activation.derivative(z)
    expected = (weight @ phi, weight @ phi**2, weight @ slope**2)
    assert meanfield.moments(activation, q) == pytest.approx(expected, rel=5e-6, abs=1e-12)


@pytest.mark.parametrize("name", [n for n, a in ACTIVATIONS.items() if not a.moments])
def test_moments_agree_with_gauss_hermite_quadrature_where_that_converges(name: str) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    activation = ACTIVATIONS[name]
    slope = activation.derivative(math.sqrt(0.3) * nodes)
    expected = weights @ slope**2 / math.sqrt(2 * math.pi)
    assert meanfield.moments(activation, 0.3)[2] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("changes", "chi"),
    [
        ({"activation": "sigmoid"}, 1 / 3 / 16),
        ({"activation": "tanh"}, 1 / 3),
        ({"activation": "relu"}, 1 / 6),
        ({"activation": "relu", "init": "he_uniform"}, 1.0),
        ({"activation": "tanh", "init": "xavier_uniform"}, 1.0),
        ({"activation": "swish"}, 1 / 12),
    ],
)
def test_chi_of_a_linearised_network_is_the_known_one(changes: dict[str, Any], chi: float) -> None:
    slope = meanfield.moments(ACTIVATIONS[changes["activation"]], 1e-12)[2]
    gain = meanfield.predict(variant(**changes), 784, 1e-12)[0].chi / slope
    assert gain * slope == pytest.approx(chi, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "sigmoid"},
        {"activation": "tanh"},
        {"activation": "relu"},
        {"activation": "swish", "init": "xavier_uniform"},
        {"activation": "sigmoid", "skip": True},
        {"activation": "sigmoid", "init": "normal", "std": 1.0},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_hops_of_wide_networks_are_as_predicted(changes: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(200, 300, generator=generator)
    probe = Examples(images, torch.randint(0, 10, (200,), generator=generator))
    network = variant(depth=4, width=600, **changes)
    rows = probe_seeds(network, probe, 10, 200, range(4))
    q = [r["value"] ** 2 for r in rows if _is(r, 0, "preactivation", "rms")]
    predicted = meanfield.predict(network, 300, float(np.mean(q)))
    for index in range(3):
        measured = [r["value"] for r in rows if _is(r, index, "backpropagated_gradient", "hop")]
        assert np.mean(measured) == pytest.approx(predicted[index].hop, rel=0.05)


def _is(row: dict[str, Any], index: int, tensor: str, statistic: str) -> bool:
    return (row["layer_index"], row["tensor"], row["statistic"]) == (index, tensor, statistic)


def test_attenuation_is_the_product_of_the_hops() -> None:
    layers = meanfield.predict(variant(), 784, 0.3)
    assert meanfield.attenuation(layers) == pytest.approx(
        math.prod(layer.hop for layer in layers[:4])
    )
    assert math.isnan(layers[-1].hop)
    assert meanfield.attenuation(meanfield.predict(variant(depth=1), 784, 0.3)) == 1


def test_depth_scale_is_that_of_schoenholz() -> None:
    assert meanfield.depth_scale(math.exp(-1 / 7)) == pytest.approx(7)
    assert meanfield.depth_scale(1.0) == math.inf


def test_depth_below_a_threshold_is_the_first_whose_gradient_is_below_it() -> None:
    depth = meanfield.depth_below_threshold(variant(), 784, 0.3, 10, 1e-9)
    assert depth is not None

    def first_gradient(hidden: int) -> float:
        layers = meanfield.predict(variant(depth=hidden), 784, 0.3)
        last = meanfield.last_hidden_gradient(variant(), 10, layers[-1].q)
        return last * meanfield.attenuation(layers)

    assert first_gradient(depth) < 1e-9 <= first_gradient(depth - 1)


def test_a_network_whose_gradient_does_not_vanish_is_below_at_no_depth() -> None:
    relu_he = variant(activation="relu", init="he_uniform")
    assert meanfield.depth_below_threshold(relu_he, 784, 1.9, 10, 1e-9) is None


def test_batch_normalization_has_no_theory() -> None:
    normalising = variant(normalization="batch")
    assert "batch normalization" in str(meanfield.reason_unavailable(normalising))
    with pytest.raises(ValueError, match="batch normalization"):
        meanfield.predict(normalising, 784, 0.3)
