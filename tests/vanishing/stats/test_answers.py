"""What outputs and their gradient say of the task: dependence, labels and the loss's scale."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, nll_loss, one_hot

from tests.vanishing.judging.learning.trainings import double_softmax, mixed
from vanishing.stats.answers import OF_GRADIENT, dependence, read_gradient

Loss = Callable[[Tensor, Tensor], Tensor]


def draw(rows: int = 64, features: int = 10) -> tuple[Tensor, Tensor]:
    """Return outputs and labels of a network that guesses."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, features, generator=generator)
    return z.requires_grad_(), torch.randint(features, (rows,), generator=generator)


def read(loss: Loss, z: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the numbers of the gradient that autograd computes."""
    (gradient,) = torch.autograd.grad(loss(z, labels), z)
    return dict(zip(OF_GRADIENT, read_gradient(z, gradient).tolist(), strict=True))


def no_logarithm(z: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of who hands probabilities to a function of their logarithms."""
    return nll_loss(z.softmax(1), labels)


def squares(z: Tensor, labels: Tensor) -> Tensor:
    """Return a loss without a softmax."""
    return mse_loss(z, one_hot(labels, z.shape[1]).float())


def test_labels_and_scale_are_read_off_the_gradient_of_a_cross_entropy() -> None:
    z, labels = draw()
    numbers = read(cross_entropy, z, labels)
    assert numbers["row_sum"] < 1e-6
    assert numbers["accuracy"] == (z.argmax(1) == labels).double().mean()
    assert numbers["largest_class"] == labels.bincount().max() / len(labels)
    assert numbers["scale"] == pytest.approx(1, rel=1e-5)
    assert numbers["scale_spread"] < 1e-5


@pytest.mark.parametrize(("reduction", "scale"), [("mean", 1), ("sum", 64)])
def test_a_summed_loss_has_the_number_of_rows_as_its_scale(reduction: Any, scale: float) -> None:
    loss = lambda z, labels: cross_entropy(z, labels, reduction=reduction)  # noqa: E731
    assert read(loss, *draw())["scale"] == pytest.approx(scale, rel=1e-5)


def test_a_loss_on_probabilities_has_another_scale_at_each_row() -> None:
    numbers = read(double_softmax, *draw())
    assert numbers["row_sum"] < 1e-6
    assert numbers["scale"] < 0.3
    assert numbers["scale_spread"] > 1


@pytest.mark.parametrize("of_probabilities", [double_softmax, no_logarithm])
@pytest.mark.parametrize("factor", [1, 0.25])
def test_a_loss_that_is_given_probabilities_is_told_from_one_of_mixed_labels(
    of_probabilities: Loss, factor: float
) -> None:
    z, labels = draw()
    labels[:4] = -100  # ignored
    given = read(lambda z, labels: factor * of_probabilities(z, labels), z, labels)
    assert given["off_probabilities"] < 1e-5
    for loss in (cross_entropy, mixed):
        assert read(loss, *draw())["off_probabilities"] > 0.3
    assert read(mixed, *draw())["scale"] < 0.6


def test_smoothed_labels_keep_the_scale_and_the_labels() -> None:
    loss = lambda z, labels: cross_entropy(z, labels, label_smoothing=0.1)  # noqa: E731
    z, labels = draw()
    numbers = read(loss, z, labels)
    assert numbers["scale"] == pytest.approx(0.9, abs=0.03)
    assert numbers["accuracy"] == (z.argmax(1) == labels).double().mean()


def test_rows_without_a_gradient_do_not_count() -> None:
    z, labels = draw()
    all_rows = read(cross_entropy, z[:40].detach().requires_grad_(), labels[:40])
    labels[40:] = -100  # ignored by cross_entropy
    assert read(cross_entropy, z, labels) == pytest.approx(all_rows)


def test_rows_of_which_a_network_is_sure_are_right() -> None:
    z, labels = draw()
    with torch.no_grad():
        z[:32] = 200.0 * one_hot(labels[:32], 10)
    numbers = read(cross_entropy, z, labels)
    assert numbers["accuracy"] == (z.argmax(1) == labels).double().mean() >= 0.5
    assert numbers["scale"] == pytest.approx(1, rel=1e-5)


def test_the_gradient_of_another_loss_does_not_sum_to_zero() -> None:
    assert read(squares, *draw())["row_sum"] > 0.1


def test_no_gradient_at_all_gives_no_numbers() -> None:
    z, _ = draw()
    assert read_gradient(z, torch.zeros_like(z)).isnan().sum() == len(OF_GRADIENT)


def test_outputs_that_are_the_same_for_all_examples_depend_on_none() -> None:
    assert dependence(torch.arange(5.0).expand(8, 5)).item() == 0


def test_what_a_softmax_does_not_see_is_no_dependence() -> None:
    z = torch.arange(5.0).expand(8, 5) + torch.arange(8.0).unsqueeze(1)
    assert dependence(z).item() == pytest.approx(0, abs=1e-12)


def test_the_dependence_is_the_share_of_the_variance() -> None:
    z, _ = draw(rows=1_000)
    assert dependence(z).item() == pytest.approx(1, abs=0.01)
    offset = torch.arange(10.0) - 4.5  # mean square 8.25, beside a variance of 0.9 of differences
    assert dependence(z + offset).item() == pytest.approx(0.9 / 9.15, rel=0.02)


def test_of_one_feature_the_mean_counts() -> None:
    z = torch.tensor([[1.0], [3.0]])
    assert dependence(z).item() == pytest.approx(1 / 5)
    assert dependence(torch.zeros(4, 1)).isnan()
