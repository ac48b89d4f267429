"""Networks that functions return, tried on a batch: what is wrong with one is named in one line."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.study import tiny_params
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.trial import try_networks
from vanishing.params.study import Study

MODULE = """
import torch
from torch import nn

def good(width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(6, width), nn.Dropout(), nn.Linear(width, 3))

def embedded():
    return nn.Sequential(nn.EmbeddingBag(6, 8, sparse=True), nn.Linear(8, 3))

_ONE = nn.Linear(6, 3)

def shared():
    return nn.Sequential(nn.Flatten(), _ONE)

_CALLS = []

def every_third():
    _CALLS.append(good() if len(_CALLS) < 2 else _CALLS[0])
    return _CALLS[-1]

def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 2))

def pair():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)
        def forward(self, x):
            return self.layer(x.flatten(1)), None
    return Pair()

def wide():
    return nn.Linear(7, 3)

def frozen():
    return good().requires_grad_(False)

def empty():
    return nn.Flatten()

def detached():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)
        def forward(self, x):
            return self.layer(x.flatten(1)).detach()
    return Detached()

def infinite():
    network = good()
    nn.init.constant_(network[3].bias, float("inf"))
    return network

def no_gradient_at_zero():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)
            nn.init.zeros_(self.layer.weight)
            nn.init.zeros_(self.layer.bias)
        def forward(self, x):
            return self.layer(x.flatten(1)).sqrt()
    return Root()
"""


@pytest.fixture(autouse=True)
def study_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out a study with a module of its own, as the working directory."""
    (tmp_path / "tried_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "tried_networks", raising=False)


def study(**networks: dict[str, Any]) -> Study:
    """Return tiny parameters with variants whose networks functions of the module return."""
    content = tiny_params()
    for name, entries in networks.items():
        function = f"tried_networks:{entries.pop('network')}"
        content["variants"][name] = {"network": function, "compare_to": "sigmoid", **entries}
    return Study.model_validate(content)


EXAMPLES = Examples(torch.linspace(-1, 1, 20 * 6).reshape(20, 1, 2, 3), torch.arange(20) % 3)


def test_networks_that_can_be_trained_pass() -> None:
    before = torch.get_rng_state()
    params = study(good={"network": "good"}, wide={"network": "good", "arguments": {"width": 9}})
    try_networks(params, EXAMPLES, 3)
    tokens = Examples(torch.arange(80).reshape(20, 4) % 6, EXAMPLES.labels)
    try_networks(study(tokens={"network": "embedded"}), tokens, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("gone", r"tried_networks has no function gone"),
        ("shared", r"returns a module that shares 1\.weight with a call before; make new"),
        ("lazy", r"returns a module whose 1\.weight is lazy; give it its shape"),
        ("narrow", r"maps inputs \(20, 1, 2, 3\) to \(20, 2\), not to logits \(20, 3\)"),
        ("pair", r"maps inputs \(20, 1, 2, 3\) to tuple, not to logits \(20, 3\)"),
        ("wide", r"fails on inputs \(20, 1, 2, 3\): mat1 and mat2 shapes cannot be multiplied"),
        ("frozen", r"returns a module without parameters that require a gradient"),
        ("empty", r"returns a module without parameters that require a gradient"),
        ("detached", r"has logits that depend on no parameter"),
        ("infinite", r"has logits or a loss that are NaN or infinite"),
        ("no_gradient_at_zero", r"has a gradient of layer\.weight that is NaN or infinite at the"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(network: str, message: str) -> None:
    with pytest.raises(StudyError, match=rf"^params\.yaml: variants\.x\.network: .*{message}") as e:
        try_networks(study(x={"network": network}), EXAMPLES, 3)
    assert "\n" not in str(e.value)


def test_a_parameter_that_two_variants_share_is_named() -> None:
    params = study(first={"network": "every_third"}, second={"network": "every_third"})
    message = r"variants\.second\.network: .* shares 1\.weight with variants\.first; make new"
    with pytest.raises(StudyError, match=message):
        try_networks(params, EXAMPLES, 3)
