"""Outputs of modules and the gradients that come back to them, as a watch records them."""

import gc
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD
from torch.utils.checkpoint import checkpoint

import vanishing
from tests.support.processes import needs
from vanishing import read_run
from vanishing.errors import StudyError
from vanishing.judging.blocks import blocks as blocks_of
from vanishing.judging.runs import Run
from vanishing.judging.stream import (
    attenuation_along_stream,
    gradient_along_stream,
    gradient_through_time,
)
from vanishing.recording.module_calls import units_axis
from vanishing.reporting.runs import summarize

Forward = Callable[[nn.Module, Tensor], Tensor]

HEADER = Path(sysconfig.get_path("include")) / "Python.h"
COMPILER = shutil.which("g++") if HEADER.exists() else None
REASON = "inductor's compiler is not installed here (Debian: apt install g++ python3-dev)"


def make_model(seed: int = 0) -> nn.Sequential:
    """Make a network with an activation in place, one with normalization, and one without both."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.ReLU(inplace=True),
        nn.Linear(8, 8),
        nn.BatchNorm1d(8),
        nn.Sigmoid(),
        nn.Linear(8, 3),
    )


def call(model: nn.Module, x: Tensor) -> Tensor:
    """Pass a batch through the model."""
    output: Tensor = model(x)
    return output


def train(
    model: nn.Module,
    folder: Path | None,
    forward: Forward = call,
    steps: int = 3,
    **options: Any,
) -> Tensor:
    """Take steps on the same batches every time, watched where there is a folder.

    Returns:
        All losses.
    """
    rng = torch.Generator().manual_seed(1)
    optimizer = SGD(model.parameters(), 0.1)
    watch = vanishing.watch(model, optimizer, folder=folder, **options) if folder else None
    losses = []
    for _ in range(steps):
        loss = forward(model, torch.randn(5, 6, generator=rng)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    if watch:
        watch.close()
    return torch.stack(losses)


def norms(folder: Path, step: int) -> dict[tuple[str, str], float]:
    """Return {(layer, tensor): l2 norm} of the modules at a step."""
    trace = read_run(folder, "trace")
    of_modules = ["preactivation", "activation", "backpropagated_gradient"]
    rows = trace[(trace["step"] == step) & (trace["statistic"] == "l2_norm")]
    rows = rows[rows["tensor"].isin(of_modules)]
    assert not rows.duplicated(["layer", "tensor"]).any()
    measured: dict[Any, float] = rows.set_index(["layer", "tensor"])["value"].to_dict()
    return measured


def size(tensor: Tensor | None) -> Any:
    """Return a norm to compare with."""
    assert tensor is not None
    return pytest.approx(tensor.detach().double().norm().item(), rel=1e-5)


def test_they_are_those_of_a_network_written_out(tmp_path: Path) -> None:
    train(make_model(), tmp_path, steps=1)
    first, _, second, normalization, _, last = twin = make_model()
    twin.train()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    z1 = first(x)
    h1 = z1.relu()
    z2 = second(h1)
    n2 = normalization(z2)
    h2 = n2.sigmoid()
    y = last(h2)
    gradients = torch.autograd.grad(y.square().mean(), [z1, z2, n2, y])
    assert norms(tmp_path, 1) == {
        ("0", "preactivation"): size(z1),
        ("0", "activation"): size(h1),
        ("0", "backpropagated_gradient"): size(gradients[0]),
        ("2", "preactivation"): size(z2),
        ("2", "backpropagated_gradient"): size(gradients[1]),
        ("3", "preactivation"): size(n2),
        ("3", "activation"): size(h2),
        ("3", "backpropagated_gradient"): size(gradients[2]),
        ("5", "preactivation"): size(y),
        ("5", "backpropagated_gradient"): size(gradients[3]),
    }
    units = read_run(tmp_path, "units")
    active = units[units["layer"] == "0"].sort_values("unit")["fraction_active"]
    assert active.tolist() == pytest.approx((h1 > 0).double().mean(0).tolist())
    flat = units[units["layer"] == "0"].sort_values("unit")["fraction_flat"]
    assert flat.tolist() == pytest.approx((z1 <= 0).double().mean(0).tolist())


class Convolution(nn.Module):
    """A network with four channels: dead after its ReLU, constant, dead before it, and alive."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 2), nn.ReLU(inplace=True), nn.Flatten())
        self.head = nn.Linear(4 * 2, 2)
        with torch.no_grad():
            convolution: Any = self.body[0]
            convolution.weight[1:3] = 0
            convolution.bias.copy_(torch.tensor([-100.0, 2.0, 0.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2) of (batch, 6)."""
        logits: Tensor = self.head(self.body(x.reshape(-1, 1, 2, 3)))
        return logits


def in_parts(model: nn.Module, x: Tensor) -> Tensor:
    """Pass a batch through the model as two micro-batches."""
    (call(model, x[:2]).square().sum() / 10).backward()  # type: ignore[no-untyped-call]
    return call(model, x[2:])


@pytest.mark.parametrize("forward", [call, in_parts])
def test_dead_and_constant_channels_are_counted(forward: Forward, tmp_path: Path) -> None:
    train(Convolution(), tmp_path, forward, steps=1)
    trace = read_run(tmp_path, "trace")
    rows = trace[trace["statistic"].isin(["fraction_dead", "fraction_constant"])]
    assert rows.set_index(["layer", "tensor", "statistic"])["value"].to_dict() == {
        ("body.0", "preactivation", "fraction_dead"): 0.25,
        ("body.0", "preactivation", "fraction_constant"): 0.5,
        ("body.0", "activation", "fraction_dead"): 0.5,
        ("body.0", "activation", "fraction_constant"): 0.75,
        ("head", "preactivation", "fraction_dead"): 0.0,
        ("head", "preactivation", "fraction_constant"): 0.0,
    }
    units = read_run(tmp_path, "units")
    assert (units["fraction_active"] == 0).tolist() == [True, False, True, False]


def test_the_axis_of_units_is_that_of_channels_or_of_features() -> None:
    class Scale(nn.Module):
        def __init__(self, features: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(features))

    features, images = torch.zeros(2, 5, 6), torch.zeros(2, 6, 4, 3)
    assert units_axis(nn.Linear(1, 6), features) == -1
    assert units_axis(nn.LSTM(1, 6), features) == -1
    assert units_axis(nn.LayerNorm(6), features) == -1
    assert units_axis(nn.Conv1d(1, 5, 1), features) == 1
    assert units_axis(nn.BatchNorm2d(6), images) == 1
    assert units_axis(Scale(6), features) == -1
    assert units_axis(Scale(6), images) == 1
    assert units_axis(Scale(7), images) is None
    assert units_axis(Scale(7), torch.zeros(2, 3)) == 1
    assert units_axis(Scale(7), torch.zeros(7)) is None


class Residual(nn.Module):
    """A block that adds its branch to the residual stream, in place or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.branch = nn.Linear(6, 6)
        self.in_place = in_place

    def forward(self, h: Tensor) -> Tensor:
        """Return the next h."""
        z: Tensor = self.branch(h)
        if self.in_place:
            z += h  # of which `branch` has recorded other values
            return z
        return z + h


@pytest.mark.parametrize("in_place", [False, True])
def test_the_residual_stream_is_that_of_a_network_written_out(
    in_place: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    blocks = [Residual(in_place) for _ in range(3)]
    last = nn.Linear(6, 2)
    model = nn.ModuleDict({"last": last, "blocks": nn.Sequential(*blocks)})  # not in its order
    train(model, tmp_path, lambda _, x: call(last, call(model["blocks"], x)), steps=1)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    twin = [nn.Linear(6, 6) for _ in range(3)]
    head = nn.Linear(6, 2)
    z, h = [], [x]
    for branch in twin:
        z.append(branch(h[-1]))
        h.append(z[-1] + h[-1])
    y = head(h[-1])
    gradients = torch.autograd.grad(y.square().mean(), [*h[1:], *z, y])
    trace = read_run(tmp_path, "trace")
    norms_of_stream, gradients_of_stream, of_layers = (
        trace[(trace["tensor"] == tensor) & (trace["statistic"] == "l2_norm")]
        for tensor in ("stream", "stream_gradient", "backpropagated_gradient")
    )
    names = [f"blocks.{index}" for index in range(3)]
    assert norms_of_stream["layer"].tolist() == gradients_of_stream["layer"].tolist() == names
    assert norms_of_stream["value"].tolist() == [size(values) for values in h[1:]]
    assert gradients_of_stream["value"].tolist() == [size(values) for values in gradients[:3]]
    assert of_layers["layer"].tolist() == [*(f"{name}.branch" for name in names), "last"]
    assert of_layers["value"].tolist() == [size(values) for values in gradients[3:]]
    run = Run("run", {"trace": trace})
    along = gradient_along_stream(run)
    assert along["block"].tolist() == [*names, "last"]  # the order of the forward pass
    expected = gradients[0].norm() / gradients[2].norm()
    assert attenuation_along_stream(along, "blocks.0", "blocks.2") == pytest.approx(
        expected.item(), rel=1e-5
    )
    assert blocks_of(run)["block"].tolist() == [*names, "last"]


def test_a_block_that_ends_with_a_layer_shares_its_output(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 6)), nn.Linear(6, 2))
    train(model, tmp_path, steps=1)
    trace = read_run(tmp_path, "trace")
    assert "stream_gradient" not in set(trace["tensor"])  # `0.0` and `0.1` are blocks of one layer
    assert gradient_along_stream(Run("run", {"trace": trace}))["block"].tolist() == [
        "0.0",
        "0.1",
        "1",
    ]
    nested = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 6))))
    train(nested, tmp_path / "nested", steps=1)
    rows = read_run(tmp_path / "nested", "trace").query("statistic == 'rms'")
    values = rows[rows["layer"].isin(["0.0", "0.0.1"])].set_index("tensor")["value"]
    assert values["stream"] == values["preactivation"]
    assert values["stream_gradient"] == values["backpropagated_gradient"]


class Classifier(nn.Module):
    """A recurrent classifier of sequences, by its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (batch, 2), of (batch, time)."""
        output, _ = self.lstm(x[:, :, None])
        logits: Tensor = self.head(output[:, -1])
        return logits


def test_the_gradient_through_time_is_that_of_cells_written_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    twin = Classifier()
    torch.manual_seed(0)
    train(Classifier(), tmp_path, steps=2)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    cell = nn.LSTMCell(1, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in twin.lstm.state_dict().items()})
    h, c, states = torch.zeros(5, 4), torch.zeros(5, 4), []
    for inputs in x.T:
        h, c = cell(inputs[:, None], (h, c))
        states += [h, c]
    loss = twin.head(h).square().mean()
    gradients = torch.autograd.grad(loss, states)
    rms = [gradient.square().mean().sqrt().item() for gradient in gradients]
    run = Run("run", {"trace": read_run(tmp_path, "trace")})
    states_of_run = gradient_through_time(run).sort_values(
        ["time", "tensor"], ascending=[True, False]
    )
    assert set(states_of_run["layer"]) == {"lstm"}
    assert states_of_run["tensor"].tolist() == ["hidden_gradient_l0", "cell_gradient_l0"] * 6
    assert states_of_run["time"].tolist() == [t for t in range(1, 7) for _ in range(2)]
    assert states_of_run["rms"].tolist() == pytest.approx(rms, rel=1e-5)
    (line,) = (line for line in summarize(run, []).splitlines() if "hidden_gradient_l0" in line)
    assert f"at t = 1 over that at t = 6: {rms[0] / rms[-2]:.2e} at the first" in line


def test_the_gradient_through_time_of_micro_batches_is_that_of_all(tmp_path: Path) -> None:
    def backward_in_parts(model: nn.Module, x: Tensor) -> Tensor:
        (call(model, x[:2]).square().sum() / 10).backward()  # type: ignore[no-untyped-call]
        rest: Tensor = call(model, x[2:]) * (3 / 5) ** 0.5  # its mean counts as 3 of 5 examples
        return rest

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, forward in ((whole, call), (parts, backward_in_parts)):
        torch.manual_seed(0)
        train(Classifier(), folder, forward, steps=1)
    actual, expected = (
        gradient_through_time(Run("run", {"trace": read_run(folder, "trace")}))
        for folder in (parts, whole)
    )
    pd.testing.assert_frame_equal(actual, expected, rtol=1e-5)


def test_training_goes_on_byte_for_byte_as_without_a_watch(tmp_path: Path) -> None:
    watched, plain = make_model(), make_model()
    losses = train(watched, tmp_path, steps=15, every=4)
    assert torch.equal(losses, train(plain, None, steps=15))
    for name, values in watched.state_dict().items():
        assert torch.equal(values, plain.state_dict()[name]), name
    steps = read_run(tmp_path, "trace").query("tensor == 'preactivation'")["step"].unique()
    assert steps.tolist() == [*range(1, 11), 12]
    assert not any(module._forward_hooks for module in watched.modules())


def test_modules_can_be_left_out(tmp_path: Path) -> None:
    train(make_model(), tmp_path, modules=False)
    assert not norms(tmp_path, 1)


def test_passes_without_a_backward_pass_leave_nothing_behind(tmp_path: Path) -> None:
    model = make_model()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    with vanishing.watch(model, SGD(model.parameters(), 0.1), folder=tmp_path):
        model(x)
        gc.collect()
        before = sum(type(item) is Tensor for item in gc.get_objects())
        for _ in range(5):
            model(x)
        gc.collect()
        assert sum(type(item) is Tensor for item in gc.get_objects()) == before


class Twice(nn.Module):
    """A network whose middle is called twice, and whose sum works in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network."""
        h = self.first(x)
        out = self.middle(h)
        out += h
        result: Tensor = self.middle(out.tanh())
        return result


def test_a_module_that_is_called_twice_has_a_row_per_call(tmp_path: Path) -> None:
    train(Twice(), tmp_path, steps=2)
    twin = Twice()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    h = twin.first(x)
    a = twin.middle(h)
    b = twin.middle((a + h).tanh())
    gradients = torch.autograd.grad(b.square().mean(), [h, a, b])
    for step in (1, 2):
        assert {layer for layer, _ in norms(tmp_path, step)} == {"first", "middle", "middle#2"}
    measured = norms(tmp_path, 1)
    values = {"first": h, "middle": a, "middle#2": b}
    for (layer, value), gradient in zip(values.items(), gradients, strict=True):
        assert measured[layer, "preactivation"] == size(value)
        assert measured[layer, "backpropagated_gradient"] == size(gradient)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_block_is_counted_once(reentrant: bool, tmp_path: Path) -> None:
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        block, rest = model[:5], model[5:]  # type: ignore[index]
        hidden = checkpoint(block, x.requires_grad_(), use_reentrant=reentrant)
        output: Tensor = rest(hidden)
        return output

    train(make_model(), tmp_path / "checkpointed", forward, steps=2)
    train(make_model(), tmp_path / "plain", steps=2)
    for step in (1, 2):
        expected = norms(tmp_path / "plain", step)
        assert norms(tmp_path / "checkpointed", step) == pytest.approx(expected)
    trace = read_run(tmp_path / "checkpointed", "trace_histograms")
    assert not trace.duplicated(["step", "layer", "tensor", "bin_left"]).any()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_passes_without_a_backward_pass_do_not_count(
    context: Callable[[], Any], tmp_path: Path
) -> None:
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        with context():
            model.eval()(100 * x)
        output: Tensor = model.train()(x)
        with context():
            model.eval()(100 * x)
        model.train()
        return output

    train(make_model(), tmp_path / "interrupted", forward)
    train(make_model(), tmp_path / "plain")
    for step in (1, 2, 3):
        assert norms(tmp_path / "interrupted", step) == norms(tmp_path / "plain", step)


@dataclass
class Result:
    """An output of a class of its own."""

    hidden: list[Tensor]


class Container(nn.Module):
    """A linear layer whose output is in a container."""

    def __init__(self, wrap: Callable[[Tensor], Any], unwrap: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(6))
        self.wrap, self.unwrap = wrap, unwrap

    def forward(self, x: Tensor) -> Any:
        """Apply the layer."""
        return self.wrap(x @ self.weight)


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda h: (h, None), lambda output: output[0]),
        (lambda h: {"hidden": h}, lambda output: output["hidden"]),
        (lambda h: Result([h]), lambda output: output.hidden[0]),
    ],
    ids=["tuple", "mapping", "dataclass"],
)
def test_outputs_in_containers_are_seen(
    wrap: Callable[[Tensor], Any], unwrap: Callable[[Any], Tensor], tmp_path: Path
) -> None:
    layer = Container(wrap, unwrap)

    def forward(model: nn.Module, x: Tensor) -> Tensor:
        return unwrap(model(x))

    train(layer, tmp_path, forward, steps=1)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    assert norms(tmp_path, 1) == {
        ("", "preactivation"): size(x),
        ("", "backpropagated_gradient"): size(2 * x / x.numel()),
    }


def test_micro_batches_are_one_batch(tmp_path: Path) -> None:
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(1))
    for name, parts in (("whole", 1), ("parts", 3)):
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
        nn.init.constant_(model[0].weight, 0.1)  # type: ignore[arg-type]
        nn.init.zeros_(model[0].bias)  # type: ignore[arg-type]
        optimizer = SGD(model.parameters(), 0.1)
        with vanishing.watch(model, optimizer, folder=tmp_path / name):
            for part in x.chunk(parts):
                (model(part).square().sum() / 12).backward()
            optimizer.step()
    assert norms(tmp_path / "parts", 1) == pytest.approx(norms(tmp_path / "whole", 1))
    units = [read_run(tmp_path / name, "units") for name in ("parts", "whole")]
    pd.testing.assert_frame_equal(
        units[0].drop(columns="variant"), units[1].drop(columns="variant")
    )


@pytest.mark.parametrize("fused", [False, True])
def test_the_scale_of_the_loss_moves_nothing(fused: bool, tmp_path: Path) -> None:
    for power in (0, 16):
        model = make_model()
        optimizer = SGD(model.parameters(), 0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**power, growth_interval=2)
        with vanishing.watch(model, optimizer, folder=tmp_path / str(power)):
            for step in range(4):
                x = torch.randn(5, 6, generator=torch.Generator().manual_seed(step))
                scaler.scale(model(x).square().mean()).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
    for step in range(1, 5):
        expected = norms(tmp_path / "0", step)
        assert norms(tmp_path / "16", step) == pytest.approx(expected, rel=1e-6)


def test_of_a_closure_the_last_evaluation_counts(tmp_path: Path) -> None:
    model = nn.Linear(6, 1)
    optimizer = LBFGS(model.parameters(), max_iter=4)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    outputs: list[Tensor] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        outputs.append(model(x))
        loss = (outputs[-1] - 1).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with vanishing.watch(model, optimizer, folder=tmp_path):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    assert len(outputs) > 1
    assert norms(tmp_path, 1)["", "preactivation"] == size(outputs[-1])


def test_micro_batches_before_a_closure_count_with_its_last_pass(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 2)
    optimizer = SGD(model.parameters(), 0.1)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    outputs: list[Tensor] = []

    def closure() -> Tensor:
        outputs.append(model(x[len(outputs)]))
        loss = outputs[-1].square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with vanishing.watch(model, optimizer, folder=tmp_path):
        for step in range(2):
            if step == 0:
                closure()
                closure()
            optimizer.step(closure)
            optimizer.zero_grad()
    assert norms(tmp_path, 1)["", "preactivation"] == size(torch.cat(outputs[:3]))
    assert norms(tmp_path, 2)["", "preactivation"] == size(outputs[3])


def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
    """Return some loss."""
    loss: Tensor = model(batch).square().mean()
    return loss


def test_a_probe_records_and_changes_nothing(tmp_path: Path) -> None:
    model = nn.Sequential(make_model(), nn.Dropout())
    optimizer = SGD(model.parameters(), 0.1)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    loss_of(model, x).backward()  # type: ignore[no-untyped-call]
    before = {name: values.clone() for name, values in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    random = torch.get_rng_state()
    with vanishing.watch(model, optimizer, folder=tmp_path, every=2) as watch:
        watch.probe(x, loss_of)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, before[name]) for name, v in model.state_dict().items())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    assert norms(tmp_path, 1)["0.0", "preactivation"] == size(model[0][0](x))  # type: ignore[index]


def test_where_modules_are_probed_the_probe_counts(tmp_path: Path) -> None:
    model = make_model()
    optimizer = SGD(model.parameters(), 0.1)
    x = torch.ones(5, 6)
    with vanishing.watch(model, optimizer, folder=tmp_path) as watch:
        watch.probe(x, loss_of)
        loss_of(model, 100 * x).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert norms(tmp_path, 1)["0", "preactivation"] == size(make_model()[0](x))


@pytest.mark.parametrize(
    "loss", [lambda model, x: model(x), lambda _model, x: x.sum(), lambda _model, _x: 1.0]
)
def test_a_loss_that_is_none_is_refused(loss: Any, tmp_path: Path) -> None:
    model = make_model()
    with (
        vanishing.watch(model, SGD(model.parameters(), 0.1), folder=tmp_path) as watch,
        pytest.raises(StudyError, match=r"watch\.probe: loss_function should return one number"),
    ):
        watch.probe(torch.ones(5, 6), loss)


@pytest.mark.parametrize(
    ("given", "backend"),
    [
        ("compiled", "aot_eager"),
        ("original", "aot_eager"),
        pytest.param("compiled", "inductor", marks=[pytest.mark.slow, needs(COMPILER, REASON)]),
    ],
)
def test_a_compiled_network_is_compiled_once_and_can_be_probed(
    given: str, backend: str, tmp_path: Path
) -> None:
    import torch._dynamo  # noqa: PLC0415 - a second

    torch._dynamo.reset()
    model = make_model()
    compiled: Any = torch.compile(model, fullgraph=True, backend=backend)
    optimizer = SGD(model.parameters(), 0.1)
    watched = compiled if given == "compiled" else model
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    with (
        torch._dynamo.config.patch(error_on_recompile=True),
        vanishing.watch(watched, optimizer, folder=tmp_path, every=4) as watch,
    ):
        for step in range(14):
            if step == 11:
                watch.probe(x, loss_of)
            compiled(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    trace = read_run(tmp_path, "trace")
    of_modules = trace[trace["tensor"] == "backpropagated_gradient"]
    assert of_modules["step"].unique().tolist() == [12]
    assert of_modules["layer"].unique().tolist() == ["0", "2", "3", "5"]
    gradients = trace[trace["tensor"] == "weight_gradient"]
    assert gradients["step"].unique().tolist() == [*range(1, 11), 12]
    assert gradients["layer"].unique().tolist() == ["0", "2", "3", "5"]
