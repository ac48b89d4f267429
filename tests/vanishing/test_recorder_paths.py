"""A gradient that no path leads to is told apart from one that is small."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

import vanishing
from vanishing import read_run
from vanishing.judging.learning.verdict import Verdict
from vanishing.judging.runs import examine, load_run, problems
from vanishing.params.rules import read_rules
from vanishing.reporting.runs import summarize, write_markdown


class Network(nn.Module):
    """Three layers, a head, and a spare head that may be unused."""

    def __init__(self, forward: Callable[["Network", Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = (nn.Linear(6, 6) for _ in range(3))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.head, self.spare = nn.Linear(6, 2), nn.Linear(6, 2)
        self.token = nn.Parameter(torch.zeros(6))
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        """Return some logits."""
        return self._forward(self, x)


def detached_in_the_middle(net: Network, x: Tensor) -> Tensor:
    hidden = net.second(net.first(x).tanh()).tanh()
    logits: Tensor = net.head(net.third(hidden.detach()).tanh())
    return logits


def without_gradients(net: Network, x: Tensor) -> Tensor:
    with torch.no_grad():
        hidden = net.attention(net.first(x), x, x)[0]
    logits: Tensor = net.head(hidden)
    return logits


def attention_detached(net: Network, x: Tensor) -> Tensor:
    logits: Tensor = net.head(net.attention(x, x, x)[0].detach())
    return logits


def multiplied_by_zero(net: Network, x: Tensor) -> Tensor:
    logits: Tensor = net.head(x) + 0.0 * net.spare(net.first(x))
    return logits


def zero_times_a_detached_branch(net: Network, x: Tensor) -> Tensor:
    logits: Tensor = net.head(x) + 0.0 * net.spare(x).detach()
    return logits


def frozen_base(net: Network, x: Tensor) -> Tensor:
    net.first.requires_grad_(False)
    logits: Tensor = net.head(net.second(net.first(x)))
    return logits


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (detached_in_the_middle, {"first": "detached", "second": "detached", "third": "present"}),
        (without_gradients, {"first": "detached", "attention.out_proj": "detached"}),
        (attention_detached, {"attention.out_proj": "detached", "first": "unused"}),
        (multiplied_by_zero, {"first": "zero", "spare": "zero", "second": "unused"}),
        (zero_times_a_detached_branch, {"spare": "detached"}),
        (frozen_base, {"first": "frozen", "second": "present", "spare": "unused"}),
    ],
)
@pytest.mark.parametrize("grad", ["absent", "zero"])
def test_the_reason_is_that_of_the_graph(
    forward: Callable[[Network, Tensor], Tensor],
    expected: dict[str, str],
    grad: str,
    tmp_path: Path,
) -> None:
    net = Network(forward)
    optimizer = SGD(net.parameters(), 0.1)
    if grad == "zero":  # as an earlier step with set_to_none=False leaves it
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
    with vanishing.watch(net, optimizer, folder=tmp_path):
        for _ in range(3):
            net(torch.randn(4, 3, 6)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=grad == "absent")
    states = read_run(tmp_path, "parameters")
    weights = states[states["parameter"] == "weight"]
    for step in (1, 2, 3):
        by_layer = weights[weights["step"] == step].set_index("layer")["gradient"].to_dict()
        assert by_layer["head"] == "present"
        assert {layer: by_layer[layer] for layer in expected} == expected
    tokens = states[states["parameter"] == "token"]["gradient"]
    assert set(tokens) == {"unused"}  # though the module that holds it was called
    run = load_run(tmp_path)
    judged = {row["layer"] for row in problems(examine(run, read_rules()))}
    without_path = {layer for layer, state in expected.items() if state not in ("zero", "present")}
    assert not judged & without_path
    assert not any(parameter._backward_hooks for parameter in net.parameters())


def test_the_report_begins_with_them(tmp_path: Path) -> None:
    net = Network(detached_in_the_middle)
    net.spare.requires_grad_(False)
    optimizer = SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    with vanishing.watch(net, optimizer, folder=tmp_path, parameters="first|second|third|head|sp"):
        net(torch.randn(4, 6)).square().mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    line = (
        "3 of 5 layers receive no gradient: 2 on a detached path (first, second); 1 frozen (spare)"
    )
    assert summarize(run, []).splitlines()[1] == f"  {line}"
    verdict = Verdict("learns", 1, "It does.")
    assert f"- {line}" in write_markdown({"run": (run, [])}, {"run": verdict})


def test_of_modules_that_are_not_seen_the_reason_is_unknown(tmp_path: Path) -> None:
    net = Network(detached_in_the_middle)
    optimizer = SGD(net.parameters(), 0.1)
    with vanishing.watch(net, optimizer, folder=tmp_path, modules=False):
        net(torch.randn(4, 6)).square().mean().backward()
        optimizer.step()
    states = read_run(tmp_path, "parameters")
    assert set(states["gradient"]) == {"absent", "present"}
