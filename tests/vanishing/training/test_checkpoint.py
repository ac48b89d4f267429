"""The checkpoint of a training: what it holds, for which training it counts, damage to it."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import checkpoint, snapshot
from vanishing.results.run import Machine, RunRecord
from vanishing.training.checkpoint import Checkpointer, discard, training_digest
from vanishing.training.loop import State


@pytest.fixture
def record(workspace: Path) -> RunRecord:
    """Give the record of a training run, with its workspace as the working directory."""
    study = load(Study, workspace / "params.yaml")
    return RunRecord(
        variant="relu",
        seed=3,
        network=study.trained["relu"],
        inputs=784,
        classes=10,
        train=study.train.of_one_seed(),
        data=study.data,
        machine=Machine(device="x86_64", instructions="AVX2", threads=1, torch="2"),
    )


@pytest.fixture
def network() -> nn.Linear:
    """Give a network of one layer."""
    return nn.Linear(3, 2)


def keep_one_epoch(record: RunRecord, network: nn.Module, digest: str = "a digest") -> State:
    """Write the snapshots of the epochs 0 and 1, and the state after epoch 1."""
    checkpointer = Checkpointer(record, digest, network)
    assert checkpointer.resumed is None
    checkpointer.snapshot(0)
    checkpointer.snapshot(1)
    state = State(1, [{"epoch": 0, "loss": 0.1}, {"epoch": 1, "loss": 1 / 3}], {"w": torch.ones(2)})
    checkpointer.keep(state)
    return state


def test_a_state_comes_back_as_it_was(record: RunRecord, network: nn.Linear) -> None:
    state = keep_one_epoch(record, network)
    checkpointer = Checkpointer(record, "a digest", network)
    resumed = checkpointer.resumed
    assert resumed is not None
    assert (resumed.epoch, resumed.history) == (state.epoch, state.history)
    assert torch.equal(resumed.tensors["w"], state.tensors["w"])
    assert 0 < checkpointer.elapsed_s < 60


@pytest.mark.parametrize("has_links", [True, False])
def test_snapshots_that_dvc_deleted_are_put_back(
    record: RunRecord, network: nn.Linear, has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: Path) -> None:
        raise PermissionError

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    keep_one_epoch(record, network)
    paths = [snapshot("relu", 3, epoch) for epoch in (0, 1)]
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    checkpointer = Checkpointer(record, "a digest", network)
    assert checkpointer.resumed is not None
    assert [path.read_bytes() for path in paths] == contents
    # They are still known when the next epoch is kept.
    checkpointer.keep(checkpointer.resumed._replace(epoch=2))
    paths[0].unlink()
    assert Checkpointer(record, "a digest", network).resumed is not None
    assert paths[0].read_bytes() == contents[0]


def test_the_state_of_another_training_is_ignored(record: RunRecord, network: nn.Linear) -> None:
    keep_one_epoch(record, network)
    assert Checkpointer(record, "another digest", network).resumed is None
    other_seed = record.model_copy(update={"seed": 4})
    assert Checkpointer(other_seed, "a digest", network).resumed is None


@pytest.mark.parametrize("name", ["state", "epoch-000", "epoch-001"])
@pytest.mark.parametrize("content", [b"", b"\x08", b"damaged", None])
def test_a_damaged_or_missing_file_is_ignored_with_all_of_the_checkpoint(
    record: RunRecord, network: nn.Linear, name: str, content: bytes | None
) -> None:
    keep_one_epoch(record, network)
    path = checkpoint("relu", 3) / f"{name}.safetensors"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    checkpointer = Checkpointer(record, "a digest", network)
    assert (checkpointer.resumed, checkpointer.elapsed_s) == (None, 0.0)


def test_a_discarded_checkpoint_is_gone_and_its_snapshots_stay(
    record: RunRecord, network: nn.Linear
) -> None:
    keep_one_epoch(record, network)
    discard("relu", 3)
    assert Checkpointer(record, "a digest", network).resumed is None
    assert not checkpoint("relu", 3).exists()
    assert snapshot("relu", 3, 1).exists()
    discard("relu", 3)  # there is nothing left to do


def test_a_digest_changes_with_parameters_code_and_threads(record: RunRecord) -> None:
    digest = training_digest(record, "code")
    assert digest == training_digest(record, "code")
    settings = record.train.model_copy(update={"batch_size": 5})
    data = record.data.model_copy(update={"mean": 0.25})
    updates: list[dict[str, Any]] = [{"train": settings}, {"data": data}, {"seed": 4}]
    updates.append({"machine": record.machine.model_copy(update={"threads": 2})})
    others = {training_digest(record.model_copy(update=u), "code") for u in updates}
    others.add(training_digest(record, "other code"))
    assert len(others - {digest}) == 5
