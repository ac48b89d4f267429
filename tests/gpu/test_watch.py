"""A watch on a GPU against the same watch on the CPU, and with the scaler that GPUs need."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

import vanishing
from vanishing import read_run


def make_model(device: str) -> nn.Sequential:
    """Make a network, the same on every device."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 8), nn.Sigmoid()
    )
    return model.to(device)


def make_batch(step: int, device: str) -> torch.Tensor:
    """Draw a batch, the same on every device."""
    return torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(step)).to(device)


def norms(folder: Path) -> pd.Series:
    """Return the l2 norms of all tensors."""
    trace = read_run(folder, "trace").query("statistic == 'l2_norm'")
    return trace.set_index(["step", "layer", "tensor"])["value"].sort_index()


def test_a_watch_records_the_same_on_both_devices(tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        model = make_model(device)
        optimizer = SGD(model.parameters(), 0.1)
        with vanishing.watch(model, optimizer, folder=tmp_path / device, every=5) as watch:
            for step in range(12):
                loss = model(make_batch(step, device)).square().mean()
                watch.loss(loss)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
    on_cpu, on_gpu = norms(tmp_path / "cpu"), norms(tmp_path / "cuda")
    pd.testing.assert_series_equal(on_gpu, on_cpu, rtol=1e-3)
    assert set(on_gpu.index.get_level_values("tensor")) >= {
        "weight_gradient",
        "update",
        "preactivation",
        "activation",
        "backpropagated_gradient",
    }
    units = [
        read_run(tmp_path / device, "units").drop(columns="variant") for device in ("cpu", "cuda")
    ]
    pd.testing.assert_frame_equal(units[1], units[0], atol=0.01)


@pytest.mark.parametrize("fused", [False, True])
def test_the_scale_of_the_loss_moves_nothing(fused: bool, tmp_path: Path) -> None:
    for power in (4, 12):
        model = make_model("cuda")
        optimizer = AdamW(model.parameters(), fused=fused)
        scaler = torch.amp.GradScaler("cuda", init_scale=2.0**power)
        with vanishing.watch(model, optimizer, folder=tmp_path / str(power)):
            for step in range(6):
                loss = model(make_batch(step, "cuda")).square().mean()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
    pd.testing.assert_series_equal(norms(tmp_path / "12"), norms(tmp_path / "4"), rtol=1e-4)


def test_the_weights_are_those_of_a_training_that_nobody_watches(tmp_path: Path) -> None:
    watched, plain = make_model("cuda"), make_model("cuda")
    for model, folder in ((watched, tmp_path / "run"), (plain, None)):
        optimizer = SGD(model.parameters(), 0.1)
        watch = vanishing.watch(model, optimizer, folder=folder) if folder else None
        for step in range(15):
            model(make_batch(step, "cuda")).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        if watch:
            watch.close()
    for a, b in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
