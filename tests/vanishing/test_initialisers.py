"""The variances of weights and biases; networks/test_mlp.py checks that networks have them."""

import pytest

from vanishing.initialisers import bias_variance, weight_variance


@pytest.mark.parametrize(
    ("init", "std", "variance"),
    [
        ("default", None, 1 / 300),
        ("xavier_uniform", None, 2 / 150),
        ("he_uniform", None, 2 / 100),
        ("normal", 0.5, 0.25),
    ],
)
def test_variance_is_that_of_the_paper(init: str, std: float | None, variance: float) -> None:
    assert weight_variance(init, std, fan_in=100, fan_out=50) == pytest.approx(variance)


def test_biases_are_pytorchs() -> None:
    assert bias_variance(100) == pytest.approx(0.1**2 / 3)
