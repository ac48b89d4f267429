"""A watched training: what it leaves alone, what it leaves on the disk, and what is refused."""

import math
import random
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad, clip_grad_norm_
from torch.optim import SGD, AdamW
from torch.utils._python_dispatch import TorchDispatchMode

import vanishing
from tests.support.loops import overflowing, small_model, take_steps
from vanishing import StudyError, read_run, recorder

# What is left alone


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the operations of torch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        self.names.append(str(function))
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("fused", [False, True])
def test_an_untraced_step_computes_nothing_and_reads_nothing(fused: bool, tmp_path: Path) -> None:
    def operations(folder: Path | None) -> list[str]:
        model = small_model()
        optimizer = AdamW(model.parameters(), fused=fused)
        scaler = torch.amp.GradScaler("cpu")
        watch = folder and vanishing.watch(model, optimizer, folder=folder, every=1000)
        take_steps(model, optimizer, 10)
        with Operations() as mode:
            overflowing(model, scaler, 1.0)
            clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            if watch:
                watch.loss(torch.ones(()))
        if watch:
            watch.close()
        names: list[str] = mode.names
        return names

    expected, actual = operations(None), operations(tmp_path)
    for name in expected:
        actual.remove(name)
    # The first two are of the norm and the loss, which are kept, the last is this test's own.
    assert sorted(set(actual)) == ["aten.clone.default", "aten.detach.default", "aten.ones.default"]


def test_random_states_are_left_alone(tmp_path: Path) -> None:
    def states(folder: Path | None) -> tuple[Any, ...]:
        torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
        model = small_model()
        optimizer = SGD(model.parameters(), 0.1)
        watch = folder and vanishing.watch(model, optimizer, folder=folder, every=3)
        take_steps(model, optimizer, 20)
        if watch:
            watch.close()
        weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
        state = np.random.get_state()  # noqa: NPY002
        return weights, torch.get_rng_state().tolist(), random.getstate(), str(state)

    assert states(tmp_path) == states(None)


def test_torch_is_as_before_when_the_last_watch_is_closed(tmp_path: Path) -> None:
    def functions() -> tuple[Any, ...]:
        clip = clip_grad._clip_grads_with_norm_, torch.nn.utils.clip_grads_with_norm_
        return *clip, torch.amp.GradScaler.step

    before = functions()
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    first, second = (
        vanishing.watch(model, optimizer, folder=tmp_path / name) for name in ("first", "second")
    )
    take_steps(model, optimizer, 1)
    first.close()
    first.close()
    assert functions() != before
    take_steps(model, optimizer, 1)
    second.close()
    assert functions() == before
    take_steps(model, optimizer, 1)
    assert read_run(tmp_path / "first", "steps")["step"].tolist() == [1]
    assert read_run(tmp_path / "second", "steps")["step"].tolist() == [1, 2]


# Files

LOOP = """
import os, signal, sys, torch, vanishing
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
watch = vanishing.watch(model, optimizer, folder=sys.argv[1], every=1)
for step in range(1, 9):
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    watch.loss(1.0)
    if step in (3, 6):
        watch.flush()
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("end", "steps"), [("kill", 6), ("forget", 8)])
def test_a_killed_training_is_readable_up_to_the_last_flush_a_forgotten_watch_to_its_end(
    end: str, steps: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LOOP, str(tmp_path / "run"), end]
    done = subprocess.run(command, check=False)
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0)
    for table in ("trace", "trace_histograms", "steps", "parameters"):
        expected = list(range(1, steps + 1))
        assert sorted(set(read_run(tmp_path / "run", table)["step"])) == expected, table
    assert len(read_run(tmp_path / "run", "losses")) in {steps, steps - 1}


def test_a_loop_may_change_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    (tmp_path / "elsewhere").mkdir()
    with vanishing.watch(model, optimizer, folder="run"):
        monkeypatch.chdir(tmp_path / "elsewhere")
        take_steps(model, optimizer, 1)
    assert set(read_run(tmp_path / "run", "steps")["variant"]) == {"run"}


def test_a_run_is_written_while_it_goes_on_and_its_tables_are_whole_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_FLUSH_S", 0.0)
    monkeypatch.setattr(recorder, "_FLUSH_SHARE", 0.0)
    monkeypatch.setattr(recorder, "_WRITING_SHARE", math.inf)
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path, every=5):
        take_steps(model, optimizer, 12)
        assert read_run(tmp_path, "trace")["step"].max() == 10
        meanwhile = read_run(tmp_path, "trace")
    written = {path.name for path in tmp_path.iterdir()}
    tables = ["trace", "trace_histograms", "losses", "steps", "parameters", "units", "heads"]
    assert written == {"run.json", "factors.parquet", *(f"{table}.parquet" for table in tables)}
    pd.testing.assert_frame_equal(read_run(tmp_path, "trace"), meanwhile)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file have a byte."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_training_goes_on_while_the_disk_is_full_with_one_warning(tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with vanishing.watch(model, optimizer, folder=tmp_path / "run", every=1) as watch:
            take_steps(model, optimizer, 2)
            with full_disk():
                for _ in range(2):
                    watch.flush()
                    take_steps(model, optimizer, 2)
    (warning,) = caught
    assert "cannot be written" in str(warning.message)
    assert "training goes on" in str(warning.message)
    assert sorted(set(read_run(tmp_path / "run", "trace")["step"])) == [5, 6]


# What is refused


def refused() -> Iterator[tuple[Any, Any, dict[str, Any], str]]:
    """Yield a model, an optimizer, options, and what the error says."""
    model, other = small_model(), small_model()
    optimizer = SGD(model.parameters(), 0.1)
    yield nn.Tanh(), optimizer, {}, "no parameters"
    yield other, optimizer, {}, "the optimizer SGD holds none of the model's parameters"
    yield model, [optimizer, AdamW(other.parameters())], {}, "AdamW holds none"
    yield model, [optimizer, AdamW(model.parameters())], {}, "two optimizers hold 0.weight"
    yield nn.LazyLinear(3), optimizer, {}, "lazy"
    yield model, optimizer, {"every": 0}, "every: should be at least 1; given 0"
    yield model, optimizer, {"parameters": "("}, "no regular expression"
    yield model, optimizer, {"parameters": "encoder"}, "chooses none; names are such as 0.weight"


@pytest.mark.parametrize(
    ("model", "optimizer", "options", "message"), [*refused()], ids=lambda value: str(value)[:40]
)
def test_a_loop_that_cannot_be_watched_is_refused_in_one_line(
    model: Any, optimizer: Any, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=message) as error:
        vanishing.watch(model, optimizer, folder=tmp_path / "run", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    vanishing.watch(model, optimizer, folder=tmp_path).close()
    with pytest.raises(StudyError, match="holds a run already"):
        vanishing.watch(model, optimizer, folder=tmp_path)
    assert not optimizer._optimizer_step_pre_hooks


def test_a_loss_per_example_is_refused_where_it_is_given(tmp_path: Path) -> None:
    model = small_model()
    with vanishing.watch(model, SGD(model.parameters(), 0.1), folder=tmp_path) as watch:
        with pytest.raises(StudyError, match=r"one number; given shape \(3,\)"):
            watch.loss(torch.ones(3))
        watch.loss(torch.ones(1, 1))
    assert read_run(tmp_path, "losses")["loss"].tolist() == [1.0]


def test_models_and_optimizers_of_other_types_are_a_type_error(tmp_path: Path) -> None:
    model: Sequence[nn.Module] = [small_model()]
    with pytest.raises(TypeError, match="Optimizer"):
        vanishing.watch(model, "SGD", folder=tmp_path)  # type: ignore[arg-type]
