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

from stages import download, train
from tests.support.study import ROOT, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.results import run


def contents(folder: Path) -> dict[str, bytes]:
    """Return {relative path: bytes} of every file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_models_hold_the_documented_files(study: Path) -> None:
    assert sorted(contents(study / "models/relu")) == [
        "history.parquet",
        "losses.parquet",
        "run.json",
        "seed-0/epoch-000.safetensors",
        "seed-0/epoch-001.safetensors",
        "seed-0/epoch-002.safetensors",
        "trace.parquet",
        "trace_histograms.parquet",
    ]


def test_same_seed_same_bytes_and_another_seed_other_bytes(
    workspace: Path, study_folder: Path
) -> None:
    download.main([])
    train.main(["sigmoid-batchnorm"])
    again = contents(workspace / "models/sigmoid-batchnorm")
    assert again == contents(study_folder / "models/sigmoid-batchnorm")
    content = tiny_params()
    content["train"]["seeds"] = [1]
    write_params(workspace, content)
    train.main(["sigmoid-batchnorm"])
    other = contents(workspace / "models/sigmoid-batchnorm")
    for epoch in ("epoch-000", "epoch-002"):
        assert other[f"seed-1/{epoch}.safetensors"] != again[f"seed-0/{epoch}.safetensors"]


def test_each_seed_has_its_rows_and_its_weights(workspace: Path) -> None:
    content = tiny_params()
    content["train"] |= {"seeds": [0, 3], "epochs": 1, "snapshots": [0, 1]}
    write_params(workspace, content)
    download.main([])
    train.main(["relu"])
    history = pd.read_parquet("models/relu/history.parquet")
    assert history[["seed", "epoch"]].to_numpy().tolist() == [[0, 0], [0, 1], [3, 0], [3, 1]]
    assert (workspace / "models/relu/seed-3/epoch-001.safetensors").exists()


def test_weights_are_named_as_pytorch_names_them(study: Path) -> None:
    weights = load_file(study / "models/relu/seed-0/epoch-002.safetensors")
    assert weights["hidden.0.linear.weight"].shape == (16, 784)
    assert weights["output.bias"].shape == (10,)


def test_the_description_beside_the_weights_is_complete(study: Path) -> None:
    described = run.load("relu")
    assert described.network.activation == "relu"
    assert described.train.learning_rate == 0.01
    assert (described.inputs, described.classes) == (784, 10)
    assert (study / "models/relu/run.json").read_text().count("\n") > 20  # for people, too


def test_a_variant_that_does_not_exist_is_refused_before_anything_is_written(
    workspace: Path,
) -> None:
    with pytest.raises(StudyError, match=r"no variant 'rleu' \(did you mean relu\?\)"):
        train.main(["rleu"])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_missing_data_are_named(workspace: Path) -> None:
    with pytest.raises(StudyError, match="dvc repro download"):
        train.main(["relu"])
    assert not (workspace / "models").exists()


def test_a_missing_gpu_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    content = tiny_params()
    content["train"]["device"] = "cuda"
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"train\.device: cuda, but torch sees no GPU"):
        train.main(["relu"])


def begin(variant: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start the stage in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train", variant],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def many_epochs(seeds: list[int]) -> None:
    """Prepare a training that takes seconds."""
    content = tiny_params()
    content["train"] |= {"epochs": 30, "snapshots": [0, 1, 30], "seeds": seeds}
    write_params(Path(), content)
    download.main([])


def kill_when(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    """Kill a process once something holds."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()


def test_a_killed_training_goes_on_to_the_same_bytes(workspace: Path) -> None:
    many_epochs([0, 1])
    with begin("relu") as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    expected = contents(workspace / "models")
    assert not (workspace / ".study/resume/relu").exists()

    second = workspace / ".study/resume/relu/seed-1.safetensors"
    kill_when(begin("relu"), second.exists)
    shutil.rmtree(workspace / "models")  # as DVC does
    with begin("relu") as process:
        printed, _ = process.communicate()
    assert process.returncode == 0
    goes_on = re.findall(r"relu seed (\d): goes on after epoch (\d+) of 30", printed.decode())
    assert [seed for seed, _ in goes_on] == ["0", "1"]
    assert goes_on[0][1] == "30"
    assert contents(workspace / "models") == expected
    assert not second.exists()
    lines = [json.loads(line) for line in (workspace / ".study/journals/relu.jsonl").open()]
    assert [line["kind"] for line in lines].count("resumed") == 2
    assert lines[-1]["duration_s"] > sum(x["elapsed_s"] for x in lines if x["kind"] == "resumed")


def test_the_state_of_another_training_is_not_gone_on_with(workspace: Path) -> None:
    many_epochs([0])
    kill_when(begin("relu"), (workspace / ".study/resume/relu/seed-0.safetensors").exists)
    content = tiny_params()
    content["train"]["learning_rate"] = 0.02
    write_params(workspace, content)
    with begin("relu") as process:
        printed, _ = process.communicate()
    assert b"goes on" not in printed
    assert pd.read_parquet("models/relu/history.parquet")["epoch"].max() == 2


def test_a_state_that_is_damaged_is_not_gone_on_with(workspace: Path) -> None:
    many_epochs([0])
    state = workspace / ".study/resume/relu/seed-0.safetensors"
    kill_when(begin("relu"), state.exists)
    state.write_bytes(state.read_bytes()[:1000])
    with begin("relu") as process:
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert b"goes on" not in printed


def test_a_snapshot_that_was_damaged_since_is_not_taken_over(workspace: Path) -> None:
    many_epochs([0])
    state = workspace / ".study/resume/relu/seed-0.safetensors"
    kill_when(begin("relu"), state.exists)
    output = workspace / "models/relu/seed-0/epoch-000.safetensors"
    with output.open("r+b") as file:  # in place, so that a second name of the file has it too
        file.truncate(output.stat().st_size // 2)
    shutil.rmtree(workspace / "models")
    with begin("relu") as process:
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert b"goes on" not in printed
    assert load_file(output)


def test_a_full_disk_is_said_in_one_line_and_training_goes_on_later(workspace: Path) -> None:
    many_epochs([0])
    state = workspace / ".study/resume/relu/seed-0.safetensors"
    whole = begin("relu")
    kill_when(whole, state.exists)
    before = state.read_bytes()
    limit = len(before) // 2  # no file may be larger: what a full disk does to the state
    limited = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        " os.execv(sys.executable, [sys.executable, '-m', 'stages.train', 'relu'])"
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
    with begin("relu") as process:
        printed, _ = process.communicate()
    assert process.returncode == 0
    assert b"goes on after epoch" in printed


def test_a_single_example_is_refused(workspace: Path) -> None:
    download.main([])
    for name, count in (("images-idx3", 28 * 28 + 16), ("labels-idx1", 9)):
        path = workspace / f"data/raw/MNIST/raw/train-{name}-ubyte"
        path.write_bytes(path.read_bytes()[:4] + b"\0\0\0\1" + path.read_bytes()[8:count])
    with pytest.raises(StudyError, match="data/raw: 1 training example or none"):
        train.main(["relu"])


def test_more_memory_than_there_is_is_refused_with_an_estimate(workspace: Path) -> None:
    content = tiny_params()
    content["variants"]["relu"] |= {"depth": 1_000_000_000}
    write_params(workspace, content)
    download.main([])
    with pytest.raises(
        StudyError, match=r"variants\.relu: training it takes about [\d,.]+ GiB, and"
    ):
        train.main(["relu"])
    assert not (workspace / "models").exists()
