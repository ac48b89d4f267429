"""The train stage: what it leaves behind, byte for byte, and how it refuses."""

from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from stages import download, train
from stages.core import run
from stages.core.errors import StudyError
from tests.tiny import tiny_params, write_params


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
