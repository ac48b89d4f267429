"""Twenty public models, unchanged: watched while they train, and reported."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import vanishing
from tests.support.public_models import PUBLIC_MODELS, Training
from tests.support.twins import Norms, check_norms
from vanishing.judging.runs import examine, load_run
from vanishing.judging.stream import gradient_along_stream
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
    norms: Norms = {}  # of each parameter as its optimizer uses it

    def read(optimizer: torch.optim.Optimizer, *_: object) -> None:
        steps[optimizer] = step = steps.get(optimizer, 0) + 1
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            if parameter.grad is not None:
                norms[step, names[parameter]] = parameter.grad.double().norm().item()

    steps: dict[torch.optim.Optimizer, int] = {}
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

    check_norms(tmp_path / "run", norms)
    run = load_run(tmp_path / "run")
    tensors = set(run.tables["trace"]["tensor"])
    assert {"preactivation", "backpropagated_gradient"} <= tensors
    assert len(gradient_along_stream(run)) > 1
    rows = examine(run, read_rules())
    assert "Along the network" in summarize(run, rows)
    draw({name: run})
