"""The train stage: what it leaves behind, byte for byte, and how it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from stages import train
from tests.support.study import (
    ROOT,
    prepare_training,
    read_files,
    tiny_params,
    write_params,
)
from vanishing.errors import StudyError
from vanishing.paths import checkpoint, journal

STATE = checkpoint("relu", 0) / "state.safetensors"


def test_weights_and_tables_are_in_the_documented_files(study: Path) -> None:
    assert sorted(read_files(study / "models/relu")) == [
        "seed-0/epoch-000.safetensors",
        "seed-0/epoch-001.safetensors",
        "seed-0/epoch-002.safetensors",
    ]
    assert sorted(read_files(study / "data/training/relu")) == [
        "seed-0/history.parquet",
        "seed-0/losses.parquet",
        "seed-0/run.json",
        "seed-0/trace.parquet",
        "seed-0/trace_histograms.parquet",
    ]


def test_same_seed_same_bytes_and_another_seed_other_bytes(
    workspace: Path, study_folder: Path
) -> None:
    content = tiny_params()
    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    prepare_training()
    for seed in ("0", "1"):
        train.main(["sigmoid-batchnorm", seed])
    for folder in ("models", "data/training"):
        again = read_files(workspace / folder / "sigmoid-batchnorm/seed-0")
        assert again == read_files(study_folder / folder / "sigmoid-batchnorm/seed-0")
    weights = read_files(workspace / "models/sigmoid-batchnorm")
    for epoch in ("epoch-000", "epoch-002"):
        assert weights[f"seed-1/{epoch}.safetensors"] != weights[f"seed-0/{epoch}.safetensors"]
    history = pd.read_parquet("data/training/sigmoid-batchnorm/seed-1/history.parquet")
    assert history[["seed", "epoch"]].to_numpy().tolist() == [[1, 0], [1, 1], [1, 2]]


def test_weights_are_named_as_pytorch_names_them(study: Path) -> None:
    weights = load_file(study / "models/relu/seed-0/epoch-002.safetensors")
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


def begin(**variables: str) -> subprocess.Popen[bytes]:
    """Start the training of relu with seed 0 in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages", "train", "relu", "0"],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def long_training(workspace: Path) -> Path:
    """Give a workspace that is prepared for a training of seconds."""
    content = tiny_params()
    content["train"] |= {"epochs": 30, "snapshots": [0, 1, 30]}
    write_params(workspace, content)
    prepare_training()
    return workspace


def kill_when(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    """Kill a process once something holds."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()


def results(workspace: Path) -> dict[str, bytes]:
    """Return {relative path: content} of everything that the stage writes."""
    tables = read_files(workspace / "data/training")
    return read_files(workspace / "models") | tables


def remove_outputs(workspace: Path) -> None:
    """Remove the stage's outputs, as DVC does before it runs a stage."""
    for folder in ("models", "data/training"):
        shutil.rmtree(workspace / folder)


@pytest.mark.slow
def test_a_killed_training_is_resumed_to_the_same_bytes(long_training: Path) -> None:
    with begin() as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    expected = results(long_training)
    assert not (long_training / checkpoint("relu", 0)).exists()
    kill_when(begin(), (long_training / STATE).exists)
    remove_outputs(long_training)
    with begin() as process:
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert re.search(r"relu seed 0: resumed after epoch \d+ of 30", printed.decode())
    assert results(long_training) == expected
    assert not (long_training / checkpoint("relu", 0)).exists()
    lines = [json.loads(line) for line in (long_training / journal("relu", 0)).open()]
    (resumed,) = [line for line in lines if line["kind"] == "resumed"]
    assert lines[-1]["duration_s"] > resumed["elapsed_s"]


def edit_parameters(workspace: Path) -> None:
    """Change the learning rate, and train for two epochs."""
    content = tiny_params()
    content["train"]["learning_rate"] = 0.02
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


@pytest.mark.slow
@pytest.mark.parametrize("change", [edit_parameters, edit_code, damage_state, damage_snapshot])
def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_resumed(
    long_training: Path, change: Callable[[Path], None]
) -> None:
    kill_when(begin(), (long_training / STATE).exists)
    change(long_training)
    shutil.rmtree(long_training / "models")
    with begin() as process:
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert b"resumed" not in printed
    assert load_file(long_training / "models/relu/seed-0/epoch-000.safetensors")


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_training_is_resumed_later(long_training: Path) -> None:
    state = long_training / STATE
    kill_when(begin(), state.exists)
    before = state.read_bytes()
    limit = len(before) // 2  # of every file, as if the disk were full
    limited = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        " os.execv(sys.executable, [sys.executable, '-m', 'stages', 'train', 'relu', '0'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", limited],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    ) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    last = errors.decode().strip().splitlines()[-1]
    assert re.match(r"error: \S+/relu/\S+: cannot be written: .*[Ff]ile too large", last)
    assert state.read_bytes() == before
    with begin() as process:
        printed, _ = process.communicate()
    assert process.returncode == 0
    assert b"resumed after epoch" in printed


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
