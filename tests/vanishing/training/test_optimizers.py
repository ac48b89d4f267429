"""The optimizers of a training, against PyTorch's loops."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from tests.support.study import BASELINE, tiny_params
from vanishing.networks.mlp import build
from vanishing.params.study import Study, Training, Variant
from vanishing.training.optimizers import AfterBackward, make_optimizer
from vanishing.training.sgd import SGD

X = torch.linspace(-1, 1, 12 * 6).reshape(12, 6)
LABELS = torch.arange(12) % 3


def training(clip_norm: Any = "none", **optimizer: Any) -> Training:
    """Return the settings of a training with this optimizer."""
    content = tiny_params()
    content["train"] |= {"optimizer": optimizer, "clip_norm": clip_norm}
    return Study.model_validate(content).train.of_one_seed()


def network() -> nn.Module:
    """Build the same network every time; a parameter of it is frozen and one is unused."""
    layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    layers.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
    generator = torch.Generator().manual_seed(1)
    for parameter in layers.parameters():
        nn.init.normal_(parameter, generator=generator)
    layers[0].bias.requires_grad_(False)
    return layers


SETTINGS: list[tuple[dict[str, Any], Any]] = [
    (
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    ),
    (
        {"name": "adam", "learning_rate": 0.01, "betas": [0.8, 0.99], "weight_decay": 0.1},
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.99), weight_decay=0.1, fused=True),
    ),
    (
        {"name": "adamw", "learning_rate": 0.01},
        lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    ),
    (
        {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
        lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    ),
    (
        {"name": "adagrad", "learning_rate": 0.1},
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ),
]


@pytest.mark.parametrize("clip_norm", ["none", 0.5])
@pytest.mark.parametrize(
    ("settings", "make"), SETTINGS, ids=lambda s: s.get("name", "") if isinstance(s, dict) else ""
)
def test_a_step_is_pytorchs_bit_by_bit_and_frees_the_gradients(
    settings: dict[str, Any], make: Any, clip_norm: Any
) -> None:
    ours, usual = network(), network()
    optimizer = make_optimizer(ours, training(clip_norm, **settings))
    theirs = make([p for p in usual.parameters() if p.requires_grad])
    for _ in range(4):
        optimizer.step(cross_entropy(ours(X), LABELS))
        assert all(parameter.grad is None for parameter in ours.parameters())
        theirs.zero_grad()
        cross_entropy(usual(X), LABELS).backward()  # type: ignore[no-untyped-call]
        if clip_norm != "none":
            clip_grad_norm_(usual.parameters(), clip_norm)
        theirs.step()
    for a, b in zip(ours.parameters(), usual.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "settings", [settings for settings, _ in SETTINGS], ids=lambda s: s["name"]
)
def test_a_restored_state_goes_on_as_if_there_had_been_no_end(settings: dict[str, Any]) -> None:
    whole, resumed = network(), network()
    optimizers = [make_optimizer(n, training(**settings)) for n in (whole, resumed)]
    for _ in range(3):
        optimizers[0].step(cross_entropy(whole(X), LABELS))
    resumed.load_state_dict(whole.state_dict())
    optimizers[1].restore({name: t.clone() for name, t in optimizers[0].state().items()})
    for n, optimizer in zip((whole, resumed), optimizers, strict=True):
        optimizer.step(cross_entropy(n(X), LABELS))
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


class Watcher:
    """Keeps what it sees of steps."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []
        self.updates: list[Tensor] = []
        self._before: dict[Tensor, Tensor] = {}

    def before(self, parameter: Tensor, gradient: Tensor) -> None:
        """Keep the gradient."""
        self.gradients.append(gradient.clone())
        self._before[parameter] = parameter.detach().clone()

    def after(self, parameter: Tensor) -> None:
        """Keep the update."""
        self.updates.append(parameter.detach() - self._before[parameter])


def test_an_observer_sees_the_clipped_gradients_and_the_updates() -> None:
    watcher = Watcher()
    optimizer = make_optimizer(network(), training(0.25, name="sgd", learning_rate=2.0))
    optimizer.observer = watcher
    trained = network()
    optimizer = make_optimizer(trained, training(0.25, name="sgd", learning_rate=2.0))
    optimizer.observer = watcher
    optimizer.step(cross_entropy(trained(X), LABELS))
    assert len(watcher.gradients) == 5  # of six parameters that are used one is frozen
    norm = torch.stack([gradient.norm() for gradient in watcher.gradients]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.25))
    for gradient, update in zip(watcher.gradients, watcher.updates, strict=True):
        torch.testing.assert_close(update, -2.0 * gradient)


def test_the_perceptron_under_plain_sgd_steps_within_the_backward_pass() -> None:
    perceptron = build(Variant(**BASELINE), 6, 3, torch.Generator().manual_seed(0))
    plain = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    assert isinstance(make_optimizer(perceptron, training(**plain)), SGD)
    assert isinstance(make_optimizer(perceptron, training(1.0, **plain)), AfterBackward)
    decaying = training(**plain, weight_decay=0.1)
    assert isinstance(make_optimizer(perceptron, decaying), AfterBackward)
    assert isinstance(make_optimizer(network(), training(**plain)), AfterBackward)
