"""Twenty public models, unchanged: watched while they train, and reported."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import vanishing
from tests.support.public_models import PUBLIC_MODELS, Training
from vanishing import read_run
from vanishing.judging.runs import TABLES, Run, examine
from vanishing.judging.stream import stream
from vanishing.params.rules import read_rules
from vanishing.reporting.runs import draw, summarize

STEPS = 3


def build(name: str) -> Training:
    """Make a training, the same every time."""
    torch.manual_seed(0)
    return PUBLIC_MODELS[name]()


def take_steps(training: Training) -> list[Tensor]:
    """Train, with the same random numbers every time; return the losses."""
    torch.manual_seed(1)
    return [training.step() for _ in range(STEPS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC_MODELS)
def test_a_public_model_is_recorded_as_it_is_trained_and_reported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    alone, watched = build(name), build(name)
    expected = take_steps(alone)
    names = {
        p: f"{prefix}.{n}".lstrip(".")
        for prefix, model in watched.models.items()
        for n, p in model.named_parameters()
    }
    norms: list[dict[str, float]] = []  # by step of each optimizer, as it uses them

    def read(optimizer: torch.optim.Optimizer, *_: object) -> None:
        used = [p for group in optimizer.param_groups for p in group["params"]]
        norms.append({names[p]: p.grad.double().norm().item() for p in used if p.grad is not None})

    for optimizer in watched.optimizers:
        optimizer.register_step_pre_hook(read)
    models = watched.models.get("", watched.models)
    with vanishing.watch(models, watched.optimizers, folder=tmp_path / "run") as watch:
        losses = take_steps(watched)
        watch.loss(losses[-1])
    assert all(map(torch.equal, losses, expected))
    for prefix, model in watched.models.items():
        for key, values in alone.models[prefix].state_dict().items():
            assert torch.equal(model.state_dict()[key], values), key

    trace = read_run(tmp_path / "run", "trace")
    run = Run(name, {table: read_run(tmp_path / "run", table) for table in TABLES})
    gradients = run.gradients("l2_norm")
    first = gradients[gradients["step"] == 1]
    leaves = first["tensor"].str.removesuffix("_gradient")
    recorded = dict(
        zip((first["layer"] + "." + leaves).str.lstrip("."), first["value"], strict=True)
    )
    assert recorded == pytest.approx(
        {k: v for step in norms[: len(watched.optimizers)] for k, v in step.items()}, rel=1e-5
    )
    assert {"preactivation", "backpropagated_gradient"} <= set(trace["tensor"])
    assert len(stream(run)) > 1
    rows = examine(run, read_rules())
    assert "Along the network" in summarize(run, rows)
    draw({name: run})
