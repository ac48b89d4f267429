"""The train stage: its files, byte for byte, how it is resumed, and its errors."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from stages import train
from tests.support.processes import until
from tests.support.study import (
    ROOT,
    prepare_training,
    read_files,
    tiny_params,
    write_params,
)
from vanishing.errors import StudyError
from vanishing.paths import checkpoint, journal
from vanishing.training.checkpoint import Checkpointer
from vanishing.training.loop import State

STATE = checkpoint("relu", 0) / "state.safetensors"


def test_weights_and_tables_are_in_the_documented_files(judged: Path) -> None:
    assert sorted(read_files(judged / "models/relu")) == [
        "seed-0/epoch-000.safetensors",
        "seed-0/epoch-001.safetensors",
        "seed-0/epoch-002.safetensors",
    ]
    assert sorted(read_files(judged / "data/training/relu")) == [
        "seed-0/history.parquet",
        "seed-0/losses.parquet",
        "seed-0/run.json",
        "seed-0/trace.parquet",
        "seed-0/trace_histograms.parquet",
    ]


def test_same_seed_same_bytes_and_another_seed_other_bytes(
    workspace: Path, judged_folder: Path
) -> None:
    content = tiny_params()
    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    prepare_training()
    for seed in ("0", "1"):
        train.main(["sigmoid-batchnorm", seed])
    for folder in ("models", "data/training"):
        again = read_files(workspace / folder / "sigmoid-batchnorm/seed-0")
        assert again == read_files(judged_folder / folder / "sigmoid-batchnorm/seed-0")
    weights = read_files(workspace / "models/sigmoid-batchnorm")
    for epoch in ("epoch-000", "epoch-002"):
        assert weights[f"seed-1/{epoch}.safetensors"] != weights[f"seed-0/{epoch}.safetensors"]
    history = pd.read_parquet("data/training/sigmoid-batchnorm/seed-1/history.parquet")
    assert history[["seed", "epoch"]].to_numpy().tolist() == [[1, 0], [1, 1], [1, 2]]


def test_weights_are_named_as_pytorch_names_them(judged: Path) -> None:
    weights = load_file(judged / "models/relu/seed-0/epoch-002.safetensors")
    assert weights["hidden.0.linear.weight"].shape == (16, 784)
    assert weights["output.bias"].shape == (10,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rleu", "0"], r"no variant 'rleu' \(did you mean relu\?\)"),
        (["relu", "7"], r"no seed '7'; train\.seeds has 0"),
        (["relu", "x"], r"no seed 'x'; train\.seeds has 0"),
    ],
)
def test_a_variant_or_seed_that_does_not_exist_is_refused_before_anything_is_written(
    workspace: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        train.main(arguments)
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_missing_data_are_named(workspace: Path) -> None:
    with pytest.raises(StudyError, match="dvc repro download"):
        train.main(["relu", "0"])
    assert not (workspace / "models").exists()


def test_a_missing_gpu_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    content = tiny_params()
    content["train"]["device"] = "cuda"
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"train\.device: cuda, but torch sees no GPU"):
        train.main(["relu", "0"])


def results(workspace: Path) -> dict[str, bytes]:
    """Return {relative path: content} of everything that the stage writes."""
    return read_files(workspace / "models") | read_files(workspace / "data/training")


def remove_outputs(workspace: Path) -> None:
    """Remove the stage's outputs, as DVC does before it runs a stage."""
    for folder in ("models", "data/training"):
        shutil.rmtree(workspace / folder)


@pytest.mark.slow
def test_a_killed_training_is_resumed_to_the_same_bytes(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 30, "snapshots": [0, 1, "last"]}
    write_params(workspace, content)
    prepare_training()
    train.main(["relu", "0"])
    expected = results(workspace)
    assert not (workspace / checkpoint("relu", 0)).exists()
    command = [sys.executable, "-m", "stages", "train", "relu", "0"]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        until((workspace / STATE).exists)
        process.kill()
    remove_outputs(workspace)
    train.main(["relu", "0"])
    assert re.search(r"relu seed 0: resumed after epoch \d+ of 30", capsys.readouterr().out)
    assert results(workspace) == expected
    assert not (workspace / checkpoint("relu", 0)).exists()
    lines = [json.loads(line) for line in (workspace / journal("relu", 0)).open()]
    (resumed,) = [line for line in lines if line["kind"] == "resumed"]
    assert lines[-1]["duration_s"] > resumed["elapsed_s"]


@pytest.fixture
def interrupted(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a workspace in which a training was interrupted after the first of two epochs."""
    prepare_training()
    keep = Checkpointer.keep

    def keep_and_stop(checkpointer: Checkpointer, state: State) -> None:
        keep(checkpointer, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train.main(["relu", "0"])
    return workspace


def edit_parameters(workspace: Path) -> None:
    """Change the learning rate."""
    content = tiny_params()
    content["train"]["optimizer"]["learning_rate"] = 0.02
    write_params(workspace, content)


def edit_code(workspace: Path) -> None:
    """Change the fingerprint of the training's code."""
    path = workspace / "data/fingerprints/train"
    path.write_text(f"{path.read_text()}vanishing.training.loop.more 00\n")


def damage_state(workspace: Path) -> None:
    """Cut the checkpoint off."""
    path = workspace / STATE
    path.write_bytes(path.read_bytes()[:1000])


def damage_snapshot(workspace: Path) -> None:
    """Cut a snapshot off in place, so that a second name of the file is cut off too."""
    output = workspace / "models/relu/seed-0/epoch-000.safetensors"
    with output.open("r+b") as file:
        file.truncate(output.stat().st_size // 2)


def change_nothing(_workspace: Path) -> None:
    """Leave everything as it is."""


@pytest.mark.parametrize(
    ("change", "is_resumed"),
    [
        (change_nothing, True),
        (edit_parameters, False),
        (edit_code, False),
        (damage_state, False),
        (damage_snapshot, False),
    ],
)
def test_a_checkpoint_of_the_same_training_is_resumed_if_it_is_intact(
    interrupted: Path,
    judged_folder: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    is_resumed: bool,
) -> None:
    change(interrupted)
    remove_outputs(interrupted)
    train.main(["relu", "0"])
    assert ("resumed after epoch 1 of 2" in capsys.readouterr().out) is is_resumed
    if change is not edit_parameters:
        for folder in ("models", "data/training"):
            expected = read_files(judged_folder / folder / "relu")
            assert read_files(interrupted / folder / "relu") == expected


@contextlib.contextmanager
def limit_files(size: int) -> Iterator[None]:
    """Let no file become larger than this, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_line_and_training_is_resumed_later(
    interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = (interrupted / STATE).read_bytes()
    message = r"^\S+/relu/\S+: cannot be written: .*[Ff]ile too large[^\n]*$"
    with pytest.raises(StudyError, match=message), limit_files(len(state) // 2):
        train.main(["relu", "0"])
    assert (interrupted / STATE).read_bytes() == state
    train.main(["relu", "0"])
    assert "resumed after epoch 1 of 2" in capsys.readouterr().out


def test_a_single_example_is_refused(workspace: Path) -> None:
    prepare_training()
    for name, count in (("images-idx3", 28 * 28 + 16), ("labels-idx1", 9)):
        path = workspace / f"data/raw/MNIST/raw/train-{name}-ubyte"
        path.write_bytes(path.read_bytes()[:4] + b"\0\0\0\1" + path.read_bytes()[8:count])
    with pytest.raises(StudyError, match="data/raw: 1 training examples; there should be 2"):
        train.main(["relu", "0"])


def test_a_network_larger_than_the_memory_is_refused_with_an_estimate(workspace: Path) -> None:
    prepare_training()
    content = tiny_params()
    content["variants"]["relu"] |= {"depth": 1_000_000_000}
    write_params(workspace, content)
    with pytest.raises(
        StudyError, match=r"variants\.relu: training it takes about [\d,.]+ GiB, and"
    ):
        train.main(["relu", "0"])
    assert not (workspace / "models").exists()
