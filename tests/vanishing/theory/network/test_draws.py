"""Whether weights look as if drawn independently around zero."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vanishing.theory.network.draws import measure
from vanishing.theory.network.recursions import NoTheoryError

DRAWN: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": nn.init.normal_,
    "uniform": lambda weight: nn.init.uniform_(weight, -1, 1),
    "he": nn.init.kaiming_normal_,
    "truncated": nn.init.trunc_normal_,
    "zeros": nn.init.zeros_,
}
SHAPES = [(300, 200), (20, 500), (10, 4), (1, 50), (16, 3, 5, 5), (64, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", DRAWN)
def test_independent_weights_are_taken_with_their_variance(
    name: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    for _ in range(20):  # a few draws in 1e8 would be refused
        weight = DRAWN[name](torch.empty(shape))
        bias, other = torch.empty(shape[0]).uniform_(-1, 1), torch.empty(shape[0]).uniform_(-1, 1)
        draw = measure("layer", weight, bias, None, other)
        assert draw.weight == pytest.approx(float(weight.square().mean()))
        assert draw.bias == pytest.approx(float(bias.square().mean() + other.square().mean()))


def low_rank(weight: Tensor) -> Tensor:
    return torch.randn(weight.shape[0], 3) @ torch.randn(3, weight.shape[1])


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], str]] = {
    "orthogonal": (nn.init.orthogonal_, (64, 64), "orthogonal or the identity"),
    "orthogonal-rows": (nn.init.orthogonal_, (10, 200), "orthogonal or the identity"),
    "orthogonal-columns": (nn.init.orthogonal_, (200, 10), "orthogonal or the identity"),
    "identity": (nn.init.eye_, (30, 30), "orthogonal or the identity"),
    "convolution": (nn.init.dirac_, (16, 16, 3, 3), "orthogonal or the identity"),
    "low-rank": (low_rank, (60, 60), "not drawn independently"),
    "constant": (nn.init.ones_, (20, 30), "not drawn independently"),
    "positive": (nn.init.uniform_, (1, 50), "its weights are not drawn around zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_by_what_is_wrong(name: str) -> None:
    initialise, shape, message = REFUSED[name]
    torch.manual_seed(0)
    with pytest.raises(NoTheoryError, match=f"^layer: .*{message}"):
        measure("layer", initialise(torch.empty(shape)))


def test_constant_biases_other_than_zero_are_refused() -> None:
    weight = torch.randn(30, 30, generator=torch.Generator().manual_seed(0))
    assert measure("layer", weight, torch.zeros(30)).bias == 0
    with pytest.raises(NoTheoryError, match=r"^layer: its biases are not drawn around zero"):
        measure("layer", weight, torch.ones(30))
