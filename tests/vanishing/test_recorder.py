"""Watching a training loop: when it records, and what of which parameters."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW

import vanishing
from tests.support.loops import overflowing, small_model, take_steps
from vanishing import read_run
from vanishing.files import read_json

# When


def test_the_first_ten_steps_and_every_so_many_are_traced(tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path, every=12) as watch:
        take_steps(model, optimizer, 40, watch)
    expected = [*range(1, 11), 12, 24, 36]
    assert sorted(set(read_run(tmp_path, "trace")["step"])) == expected
    steps = read_run(tmp_path, "steps")
    assert list(steps["step"]) == list(range(1, 41))
    assert list(steps["step"][steps["traced"]]) == expected
    assert list(read_run(tmp_path, "losses")["step"]) == list(range(1, 41))


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_the_scaler_skips_is_named_and_has_no_trace(
    fused: bool, tmp_path: Path
) -> None:
    model = small_model()
    optimizer = AdamW(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    infinite = {2, 13, 20}  # traced, untraced, traced
    with vanishing.watch(model, optimizer, folder=tmp_path, every=10):
        for step in range(1, 21):
            overflowing(model, scaler, torch.inf if step in infinite else 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    steps = read_run(tmp_path, "steps").set_index("step")
    assert set(steps.index[steps["skipped"]]) == infinite
    traced = set(range(1, 11)) - infinite
    assert set(steps.index[steps["traced"]]) == traced
    assert set(read_run(tmp_path, "trace")["step"]) == traced
    assert set(read_run(tmp_path, "parameters")["step"]) == traced


def test_each_of_two_optimizers_has_steps_of_its_own(tmp_path: Path) -> None:
    models = {"generator": small_model(), "discriminator": nn.Linear(3, 1)}
    optimizers = {name: SGD(model.parameters(), 0.1) for name, model in models.items()}
    with vanishing.watch(models, optimizers, folder=tmp_path, every=100):
        for step in range(6):
            score = models["discriminator"](models["generator"](torch.ones(2, 4))).sum()
            score.backward()
            optimizers["discriminator"].step()
            if step % 2:
                optimizers["generator"].step()
    steps = read_run(tmp_path, "steps").groupby("optimizer")["step"].apply(list)
    assert steps["discriminator"] == [1, 2, 3, 4, 5, 6]
    assert steps["generator"] == [1, 2, 3]
    last = read_run(tmp_path, "trace").groupby("layer")["step"].max()
    assert last.to_dict() == {
        "discriminator": 6,
        "generator": 3,
        "generator.0": 3,
        "generator.3": 3,
    }


def test_losses_before_the_step_are_averaged_over_its_micro_batches(tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path) as watch:
        for step in range(3):
            for value in (1.0, 3.0):
                watch.loss(torch.tensor(step + value))
            watch.flush()  # in the middle of a step
            optimizer.step()
    losses = read_run(tmp_path, "losses")
    assert losses[["step", "loss"]].to_numpy().tolist() == [[1, 2.0], [2, 3.0], [3, 4.0]]


# What


def test_the_norm_before_clipping_is_known_under_whatever_name_clipping_was_imported(
    tmp_path: Path,
) -> None:
    model, other = small_model(), nn.Linear(4, 1)
    optimizers = [SGD(model.parameters(), 0.1), SGD(other.parameters(), 0.1)]
    norms = []
    with vanishing.watch([model, other], optimizers, folder=tmp_path, every=2, modules=False):
        for step in range(13):
            (model(torch.ones(2, 4)).sum() + other(torch.ones(2, 4)).sum()).backward()
            is_clipped = step % 3 == 0
            norm = clip_grad_norm_(model.parameters(), 0.01) if is_clipped else None  # see above
            norms.append(math.nan if norm is None else norm.item())
            for optimizer in optimizers:
                optimizer.step()
    steps = read_run(tmp_path, "steps").set_index(["optimizer", "step"])["norm_before_clipping"]
    np.testing.assert_array_equal(steps["0"], norms)
    assert steps["1"].isna().all()
    trace = read_run(tmp_path, "trace").query("statistic == 'l2_norm' and step == 1")
    clipped = trace[trace["tensor"].str.endswith("_gradient") & trace["layer"].str.startswith("0.")]
    assert np.linalg.norm(clipped["value"]) == pytest.approx(0.01, rel=1e-3)


class Zoo(nn.Module):
    """Parameters of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 6, sparse=True)
        self.convolution = nn.Conv1d(6, 6, 3, padding=1)
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.memory = nn.LSTM(6, 6, batch_first=True)
        self.narrow = nn.Linear(6, 6, dtype=torch.bfloat16)
        self.narrower = nn.Linear(6, 6, dtype=torch.float16)
        self.phase = nn.Parameter(torch.randn(6, dtype=torch.complex64))
        self.scalar = nn.Parameter(torch.tensor(1.0))
        self.nothing = nn.Parameter(torch.empty(0))
        self.first = nn.Linear(6, 6, bias=False)
        self.second = nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Use every parameter."""
        x = self.table(tokens)  # (batch, time, 6)
        x = self.norm(self.convolution(x.transpose(1, 2)).transpose(1, 2))
        x = self.memory(self.attention(x, x, x)[0])[0]
        x = self.narrower(self.narrow(x.bfloat16()).half()).float()
        output: Tensor = self.second(self.first((x * self.phase).abs() * self.scalar))
        return output


def test_parameters_of_every_kind_are_recorded_and_tied_ones_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    zoo = Zoo()
    sparse = list(zoo.table.parameters())
    dense = [p for name, p in zoo.named_parameters() if name != "table.weight"]
    groups: list[dict[str, Any]] = [
        {"params": sparse, "name": "rows"},
        {"params": dense, "lr": 0.2},
    ]
    optimizer = SGD(groups, lr=0.1)
    with vanishing.watch(zoo, optimizer, folder=tmp_path, modules=False):
        zoo(torch.tensor([[1, 2, 2, 7]])).square().mean().backward()
        expected: dict[str, tuple[float, float]] = {}
        for name, parameter in zoo.named_parameters():
            if parameter.numel():
                assert parameter.grad is not None, name
                gradient = parameter.grad.to_dense()
                real = torch.view_as_real(gradient) if gradient.is_complex() else gradient
                expected[name] = real.double().norm().item(), (real == 0).double().mean().item()
        optimizer.step()
    trace = read_run(tmp_path, "trace")
    gradients = trace[trace["tensor"].str.endswith("_gradient")]
    names = (gradients["layer"] + "." + gradients["tensor"]).str.removeprefix(".")
    values = gradients.set_index([names.str.removesuffix("_gradient"), "statistic"])["value"]
    assert list(dict.fromkeys(values.index.get_level_values(0))) == list(expected)
    for name, (norm, zeros) in expected.items():
        assert values[name, "l2_norm"] == pytest.approx(norm, rel=1e-5), name
        assert values[name, "fraction_zero"] == pytest.approx(zeros), name
    assert values["table.weight", "fraction_zero"] == pytest.approx(47 / 50)
    counts = read_run(tmp_path, "trace_histograms").query("layer == 'table'")["count"]
    assert counts.sum() == 50 * 6
    described = {p["name"]: p for p in read_json(tmp_path / "run.json")["parameters"]}
    assert described["first.weight"]["tied"] == ["second.weight"]
    phase = described["phase"]
    assert (phase["shape"], phase["dtype"], phase["layer"]) == ([6], "complex64", "")
    assert (phase["optimizer"], phase["group"]) == ("0", "1")
    group = read_run(tmp_path, "parameters").set_index("layer")["group"]
    assert group["table"] == "rows"
    assert group["norm"].eq("1").all()
    rates = read_run(tmp_path, "steps").set_index("group")["learning_rate"]
    assert rates.to_dict() == {"rows": 0.1, "1": 0.2}


def test_frozen_absent_and_zero_gradients_are_told_apart_and_what_is_unfrozen_joins(
    tmp_path: Path,
) -> None:
    model = nn.ModuleDict({name: nn.Linear(4, 4, bias=False) for name in "abcde"})
    model["b"].requires_grad_(False)
    optimizer = SGD([p for name in "abcd" for p in model[name].parameters()], 0.1)
    states = []
    with vanishing.watch(model, optimizer, folder=tmp_path, modules=False):
        for step in range(3):
            if step == 1:
                model["b"].requires_grad_(True)
            if step == 2:
                optimizer.add_param_group({"params": model["e"].parameters(), "name": "late"})
            output = sum(model[name](torch.ones(1, 4)) for name in "abe")
            (output + 0.0 * model["c"](torch.ones(1, 4))).sum().backward()  # d is not used
            optimizer.step()
            optimizer.zero_grad()
    rows = read_run(tmp_path, "parameters")
    states = [group.set_index("layer")["gradient"].to_dict() for _, group in rows.groupby("step")]
    joined = {"a": "present", "b": "present", "c": "zero", "d": "absent"}
    assert states == [joined | {"b": "frozen"}, joined, joined | {"e": "present"}]
    assert rows.query("layer == 'e'")["group"].tolist() == ["late"]
    trace = read_run(tmp_path, "trace")
    assert trace.query("step == 1")["layer"].unique().tolist() == ["a", "c"]
    assert trace.query("step == 3")["layer"].unique().tolist() == ["a", "b", "c", "e"]


@pytest.mark.parametrize(
    "choice", [r"^3\.|\.bias$", lambda name, p: name.startswith("3.") or p.ndim == 1]
)
def test_parameters_are_chosen_by_a_regular_expression_or_a_predicate(
    choice: Any, tmp_path: Path
) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path, parameters=choice):
        take_steps(model, optimizer, 1)
    rows = read_run(tmp_path, "parameters")
    chosen = list(zip(rows["layer_index"], rows["layer"], rows["parameter"], strict=True))
    assert chosen == [(0, "0", "bias"), (1, "3", "weight"), (1, "3", "bias")]


def test_groups_of_one_name_are_told_apart(tmp_path: Path) -> None:
    model = small_model()
    groups = [{"params": model[i].parameters(), "name": "layer"} for i in (0, 3)]
    optimizer = SGD(groups, lr=0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path):
        take_steps(model, optimizer, 1)
    rows = read_run(tmp_path, "parameters")
    assert rows["group"].tolist() == ["layer", "layer", "layer-1", "layer-1"]


def test_without_updates_all_else_is_recorded(tmp_path: Path) -> None:
    tables = []
    for updates in (True, False):
        model, folder = small_model(), tmp_path / str(updates)
        optimizer = SGD(model.parameters(), 0.1)
        torch.manual_seed(0)
        with vanishing.watch(model, optimizer, folder=folder, updates=updates):
            take_steps(model, optimizer, 2)
        tables.append(read_run(folder, "trace").drop(columns="variant"))
    rest = tables[0][~tables[0]["tensor"].str.contains("update")]
    pd.testing.assert_frame_equal(rest.reset_index(drop=True), tables[1])
