"""`explain`: factors that add up on any network, and what is said where there is no gradient."""

import math
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import vanishing
from tests.support.public_models import PUBLIC_MODELS, Training
from vanishing.networks.linear import Linear
from vanishing.recording.tensors import tensors

WIDTH, TIME = 12, 3


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x)."""
        result: Tensor = x + self.body(x)
        return result


class Concatenation(nn.Module):
    """W·[f(x), g(x)]."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.mix = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixture."""
        mixed: Tensor = self.mix(torch.cat([self.left(x), self.right(x)], -1))
        return mixed


class Gate(nn.Module):
    """sigmoid(f(x)) · g(x), by functions."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        product: Tensor = torch.sigmoid(self.left(x)) * self.right(x)
        return product


class Attention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attention's output."""
        attended: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return attended


class Joint(nn.Module):
    """A gate of two parts of one projection, as GPT-2 projects queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return a sum of which a part is gated."""
        gate, value, rest = self.project(x).split(WIDTH, -1)
        gated: Tensor = gate.tanh() * value + rest
        return gated


class Across(nn.Module):
    """A module of channels, (batch, features, time), and an activation in place."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified output."""
        rectified: Tensor = self.body(x.mT).relu_().mT
        return rectified


def twice(body: nn.Module) -> nn.Module:
    """Use a module again."""
    return nn.Sequential(body, nn.Tanh(), body)


LEAVES: list[Callable[[], nn.Module]] = [
    lambda: nn.Linear(WIDTH, WIDTH),
    nn.Tanh,
    nn.GELU,
    lambda: nn.LayerNorm(WIDTH),
    Attention,
    Joint,
    lambda: Across(nn.BatchNorm1d(WIDTH)),
    lambda: Across(nn.Conv1d(WIDTH, WIDTH, 3, padding=1)),
]
# Recipes are called again for every example, so that weights follow from the seed.
Recipe = Callable[[], nn.Module]
TREES: st.SearchStrategy[Recipe] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda a: lambda: Residual(a()), inner),
        st.builds(lambda a: lambda: twice(a()), inner),
        st.builds(lambda a, b: lambda: nn.Sequential(a(), b()), inner, inner),
        st.builds(lambda a, b: lambda: Concatenation(a(), b()), inner, inner),
        st.builds(lambda a, b: lambda: Gate(a(), b()), inner, inner),
    ),
    max_leaves=8,
)


def batch(size: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(size, TIME, WIDTH), torch.randn(size, TIME, WIDTH)


def projection(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a loss whose gradient by the outputs is random."""
    return (outputs * targets).sum()


def check_adds_up(table: pd.DataFrame) -> None:
    """Check that factors multiply, and that shares add up to 1, at every level."""
    rows = table.set_index("position")
    for within, group in table.groupby("within"):
        if group["kind"].iloc[0] == "path":
            gains = (group["cosine"] * group["gain"]).sum()
            assert group["share"].sum() == pytest.approx(1, abs=1e-5)
            assert gains == pytest.approx(rows["gain"][within], rel=1e-5)
        elif within:
            assert group["gain"].prod() == pytest.approx(rows["gain"][within], rel=1e-5)
    chain = table[table["within"] == 0]
    ends = chain["rms_output"].to_numpy()[1:], chain["rms_input"].to_numpy()[:-1]
    assert ends[0] == pytest.approx(ends[1])


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(TREES, st.integers(0, 99))
def test_factors_of_random_trees_add_up_to_the_attenuation(recipe: Recipe, seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(recipe(), nn.Linear(WIDTH, WIDTH))
    inputs, targets = batch()
    explanation = vanishing.explain(model, (inputs, targets), projection)

    x = inputs.clone().requires_grad_()
    projection(model(x), targets).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    expected = float(vanishing.rms(x.grad.double()) / vanishing.rms(targets.double()))
    assert explanation.attenuation == pytest.approx(expected, rel=1e-5)
    decades = explanation.table.loc[explanation.table["within"] == 0, "decades"].sum()
    assert decades == pytest.approx(math.log10(expected), abs=1e-5)
    check_adds_up(explanation.table)


def chain_of(layers: int, width: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    linear = [nn.Linear(width, width, bias=False) for _ in range(layers)]
    for layer in linear:
        nn.init.orthogonal_(layer.weight)
    return nn.Sequential(*linear)


def test_a_planted_cause_is_named_with_its_size() -> None:
    model = chain_of(6, 16)
    with torch.no_grad():
        model[3].weight.mul_(0.1)  # type: ignore[operator]
    given_batch = torch.randn(8, 16), torch.randn(8, 16)
    explanation = vanishing.explain(model, given_batch, projection)
    row = explanation.table.set_index("layer").loc["3"]
    assert row["gain"] == pytest.approx(0.1, rel=0.02)
    assert row["theory"] == pytest.approx(0.1, rel=0.02)
    assert explanation.sentence == (
        "1.0 decades lost over 6 hops: 1.0 in the weights"
        " (σw² = 0.01 to 1; `3` 0.1 times the median of 6)."
    )


def sigmoid_network(width: int = 64) -> nn.Sequential:
    torch.manual_seed(0)
    blocks = (m for _ in range(4) for m in (nn.Linear(width, width), nn.Sigmoid()))
    return nn.Sequential(*blocks, nn.Linear(width, 10))


def test_the_sentence_names_kinds_whose_numbers_add_up() -> None:
    given_batch = torch.randn(100, 64), torch.randint(10, (100,))
    sentence = vanishing.explain(sigmoid_network(), given_batch, cross_entropy).sentence
    matches = re.findall(r"(\d\.\d)\d* (?:decades|in the (\w+))", sentence)
    (total, _), *parts = matches
    assert {name for _, name in parts} == {"sigmoid", "weights"}
    assert sum(float(value) for value, _ in parts) == pytest.approx(float(total))
    assert "|φ'| ≤ 1/4" in sentence


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(200, 300), nn.Sigmoid(), nn.Linear(300, 200)),
        lambda: nn.Sequential(nn.Linear(200, 200), nn.ReLU(), nn.LayerNorm(200)),
        lambda: nn.Sequential(nn.Linear(200, 200), nn.LeakyReLU(0.3), nn.BatchNorm1d(200)),
        lambda: nn.Sequential(Residual(nn.Linear(200, 200)), nn.SiLU()),
        lambda: nn.Sequential(
            nn.Unflatten(1, (2, 10, 10)),
            nn.Conv2d(2, 80, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.ConvTranspose2d(80, 40, 4, stride=2, padding=1),
        ),
    ],
)
def test_theory_is_near_on_wide_networks(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, inputs = make(), torch.randn(100, 200)
    given_batch = inputs, torch.randn_like(model(inputs))
    table = vanishing.explain(model, given_batch, projection).table
    known = table[table["theory"].notna()]
    assert len(known) >= 2
    assert known["gain"].to_numpy() == pytest.approx(known["theory"].to_numpy(), rel=0.06)
    assert (known["gain"] <= known["bound"].fillna(math.inf)).all()


def test_a_layer_that_computes_its_product_itself_has_a_factor_of_weights() -> None:
    layer = Linear(16, 16)
    nn.init.normal_(layer.weight, std=0.25)
    nn.init.zeros_(layer.bias)
    network = nn.Sequential(layer, nn.Tanh(), nn.Linear(16, 3))
    inputs, targets = torch.randn(20, 16), torch.randint(3, (20,))
    table = vanishing.explain(network, (inputs, targets), cross_entropy).table
    assert list(table["kind"]) == ["weights", "activation", "weights"]
    assert table["theory"].iloc[-1] == pytest.approx(1.0, rel=0.2)  # √(16 · 0.25²)


def test_nothing_of_the_users_changes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(inplace=True), nn.Linear(8, 3)
    )
    model[4].eval()
    inputs, targets = torch.randn(10, 6), torch.randint(3, (10,))
    cross_entropy(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]

    def state() -> list[Any]:
        return [
            *(value.numpy().tobytes() for value in model.state_dict().values()),
            *(p.grad.numpy().tobytes() for p in model.parameters() if p.grad is not None),
            [module.training for module in model.modules()],
            [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
            torch.get_rng_state().numpy().tobytes(),
            np.random.get_state()[1].tobytes(),  # type: ignore[index] # noqa: NPY002
            random.getstate(),
            inputs.numpy().tobytes(),
            inputs.requires_grad,
        ]

    before = state()
    first, second = (vanishing.explain(model, (inputs, targets), cross_entropy) for _ in range(2))
    assert state() == before
    assert not any(hooks)
    pd.testing.assert_frame_equal(first.table, second.table)


def test_a_gradient_of_zero_is_named_where_it_becomes_zero() -> None:
    model = sigmoid_network()
    model[5] = nn.ReLU()
    with torch.no_grad():
        model[4].bias.fill_(-1e3)  # type: ignore[operator]
    given_batch = torch.randn(20, 64), torch.randint(10, (20,))
    explanation = vanishing.explain(model, given_batch, cross_entropy)
    assert explanation.sentence == (
        "The gradient becomes 0 in the activation ReLU of `5`, in hop 2 of 5."
    )
    assert explanation.attenuation == 0
    assert explanation.table["note"].iloc[-1] == "the gradient is 0 already"
    assert math.isnan(explanation.table["gain"].iloc[-1])


class Function(nn.Module):
    """A linear layer, a function, and another one."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.second(self.function(self.first(x)))
        return logits


SMALL = torch.ones(2, 4), torch.tensor([0, 1])


def test_a_gradient_of_nan_is_named_where_it_becomes_nan() -> None:
    model = Function(lambda x: (x * 0).sqrt())
    sentence = vanishing.explain(model, SMALL, cross_entropy).sentence
    assert sentence == (
        "The gradient becomes NaN or infinite in the scaling Sqrt of the model itself,"
        " in hop 1 of 2."
    )


def test_a_detached_path_is_said_and_where_it_ends() -> None:
    explanation = vanishing.explain(Function(Tensor.detach), SMALL, cross_entropy)
    assert explanation.table.empty
    assert math.isnan(explanation.attenuation)
    assert str(explanation) == (
        "No gradient comes to the input: the path ends at `second`, whose input is detached or"
        " takes no gradient."
    )


def test_tokens_end_at_their_embedding_frozen_or_not() -> None:
    for is_frozen in (False, True):
        model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9))
        model[0].requires_grad_(not is_frozen)
        given_batch = torch.randint(9, (4, 5)), torch.randint(9, (4, 5))
        explanation = vanishing.explain(
            model, given_batch, lambda outputs, targets: cross_entropy(outputs.mT, targets)
        )
        assert explanation.table["kind"].tolist() == ["weights"]


@pytest.mark.parametrize(
    ("given_batch", "loss", "message"),
    [
        (torch.ones(2, 4), cross_entropy, r"batch: should be \(inputs, targets\); given a tensor"),
        (SMALL, lambda outputs, _: outputs, r"loss: should return one number; given .*\(2, 3\)"),
    ],
)
def test_what_cannot_be_used_is_named(given_batch: Any, loss: Any, message: str) -> None:
    with pytest.raises(vanishing.StudyError, match=message):
        vanishing.explain(Function(torch.tanh), given_batch, loss)


def calls_of(training: Training) -> dict[str, tuple[Any, Any]]:
    """Return what each model is called with in a step."""
    calls: dict[str, tuple[Any, Any]] = {}
    for name, model in training.models.items():
        model.register_forward_pre_hook(
            lambda _, args, options, name=name: calls.setdefault(name, (args, options)) and None,
            with_kwargs=True,
        )
    training.step()
    return calls


def any_loss(outputs: Any, _targets: object) -> Tensor:
    """Return the loss that a model computed, or the mean square of its logits."""
    if getattr(outputs, "loss", None) is not None:
        computed: Tensor = outputs.loss
        return computed
    logits = next(tensors(getattr(outputs, "logits", outputs)))
    return logits.square().mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC_MODELS)
def test_factors_of_a_public_model_add_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    training = PUBLIC_MODELS[name]()
    for model, (arguments, options) in calls_of(training).items():
        given_batch = options or arguments, None
        explanation = vanishing.explain(training.models[model], given_batch, any_loss)
        chain = explanation.table[explanation.table["within"] == 0]
        assert len(chain) > 1
        ends = chain["rms_input"].iloc[-1] / chain["rms_output"].iloc[0]
        assert explanation.attenuation == pytest.approx(ends, rel=1e-5)
        check_adds_up(explanation.table[explanation.table["gain"] > 0])
