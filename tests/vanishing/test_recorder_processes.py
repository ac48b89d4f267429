"""Trainings of several processes: who records, under which names, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

import vanishing
from vanishing import read_run
from vanishing.errors import StudyError

TRAINING = """
import json
import sys
import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel, RowwiseParallel, parallelize_module
)
import vanishing

rank, folder = int(sys.argv[1]), sys.argv[2]
store = distributed.FileStore(folder + "/store", 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
mesh = distributed.device_mesh.init_device_mesh
all_reduce = distributed.all_reduce
collectives = {"replicated": 0, "sharded": 0, "copied": 0, "parallel": 0}
for kind in collectives:
    def counted(*arguments, **options):
        if not options:  # with which fully_shard calls it
            collectives[kind] += 1
        return all_reduce(*arguments, **options)
    distributed.all_reduce = counted
    torch.manual_seed(0)
    width = 8 if kind == "parallel" else 7  # seven rows, and one: parts differ, one is empty
    layers = nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3), nn.LayerNorm(3), nn.Linear(3, 1)
    model = nn.Sequential(*layers)
    if kind == "replicated":
        model = nn.parallel.DistributedDataParallel(model)
    elif kind == "sharded":
        for layer in (model[0], model[2]):
            fully_shard(layer, mesh=mesh("cpu", (2,)))
        fully_shard(model, mesh=mesh("cpu", (2,)))
    elif kind == "copied":
        fully_shard(model, mesh=mesh("cpu", (2, 1), mesh_dim_names=("copies", "shards")))
    elif kind == "parallel":
        plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
        parallelize_module(model, mesh("cpu", (2,)), plan)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, foreach=False)
    rng = torch.Generator().manual_seed(1)
    with vanishing.watch(model, optimizer, folder=f"{folder}/{kind}-{rank}", every=5) as watch:
        for step in range(12):
            batch = torch.randn(8, 6, generator=rng)
            if kind != "parallel":
                batch = batch[4 * rank :][:4]
            loss = model(batch).square().mean()
            watch.loss(loss)
            loss.backward()
            if kind != "parallel":  # torch cannot, with parameters of which only some are spread
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
print(json.dumps(collectives))
distributed.destroy_process_group()
"""

KEYS = ["step", "layer", "tensor", "statistic"]


class Together(NamedTuple):
    """What two processes recorded.

    Attributes:
        folder: With a run `KIND-RANK` of each way of sharing parameters.
        collectives: {kind: how many there were}.
    """

    folder: Path
    collectives: dict[str, int]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """Train a network in two processes, shared in several ways."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-c", TRAINING]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
        outputs.append(json.loads(output))
    assert outputs[0] == outputs[1]
    return Together(folder, outputs[0])


def train_alone(folder: Path, width: int, clips: bool) -> None:
    """Train the same network on the same batches in one process."""
    torch.manual_seed(0)
    layers = nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3), nn.LayerNorm(3), nn.Linear(3, 1)
    model = nn.Sequential(*layers)
    optimizer = AdamW(model.parameters(), 0.01, foreach=False)
    rng = torch.Generator().manual_seed(1)
    with vanishing.watch(model, optimizer, folder=folder, every=5):
        for _ in range(12):
            model(torch.randn(8, 6, generator=rng)).square().mean().backward()
            if clips:
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()


def of_parameters(folder: Path) -> pd.DataFrame:
    """Read the trace of a run without the outputs of modules, which are of a process's batch."""
    trace = read_run(folder, "trace").set_index(KEYS)
    modules = ["preactivation", "activation", "backpropagated_gradient", "input", "output"]
    return trace[~trace.index.get_level_values("tensor").isin(modules)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "width", "clips"), [("replicated", 7, True), ("parallel", 8, False)]
)
def test_rank_0_records_what_one_process_would(
    kind: str, width: int, clips: bool, together: Together, tmp_path: Path
) -> None:
    train_alone(tmp_path / "alone", width, clips)
    norms, alone = (
        trace[trace.index.get_level_values("statistic") == "l2_norm"]["value"]
        for trace in map(of_parameters, (together.folder / f"{kind}-0", tmp_path / "alone"))
    )
    assert norms.index.equals(alone.index)
    assert norms.to_numpy() == pytest.approx(alone.to_numpy(), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sharded", "copied"])
def test_statistics_of_parts_add_up_to_those_of_the_whole(kind: str, together: Together) -> None:
    folder, replicated = together.folder / f"{kind}-0", together.folder / "replicated-0"
    sharded, whole = map(of_parameters, (folder, replicated))
    assert sharded.index.equals(whole.index)
    largest = whole["value"].groupby(["step", "layer", "tensor"]).transform("max")
    difference = (sharded["value"] - whole["value"]).abs() / largest
    is_sum = whole.index.get_level_values("statistic") != "std"  # a difference of sums
    assert difference[is_sum & np.isfinite(largest)].max() < 1e-6
    for table in ("trace_histograms", "steps", "parameters"):
        actual, expected = (
            read_run(run, table).drop(columns="variant") for run in (folder, replicated)
        )
        pd.testing.assert_frame_equal(actual, expected)


@pytest.mark.slow
def test_other_processes_write_nothing_and_a_traced_step_takes_two_collectives(
    together: Together,
) -> None:
    assert not list(together.folder.glob("*-1"))
    traced = 10  # of twelve steps
    expected = {
        "replicated": 0,
        "sharded": 2 * traced,
        "copied": 2 * traced,
        "parallel": 2 * traced,
    }
    assert together.collectives == expected


class FullyShardedDataParallel(nn.Module):
    """Stands for the class of torch, which needs a process group."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.ones(4))


def test_flattened_parameters_are_refused_by_name(tmp_path: Path) -> None:
    model = FullyShardedDataParallel()
    with pytest.raises(StudyError, match=r"FullyShardedDataParallel \(FSDP1\) joins parameters"):
        vanishing.watch(model, SGD(model.parameters()), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


REFUSED = """
import sys, torch, vanishing
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial
store = distributed.HashStore()
distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
model = nn.Linear(4, 4)
if sys.argv[2] == "probe":
    fully_shard(model, mesh=mesh)
else:
    model.weight = nn.Parameter(DTensor.from_local(torch.ones(4, 4), mesh, [Partial()]))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
try:
    watch = vanishing.watch(model, optimizer, folder=sys.argv[1])
    watch.probe(torch.ones(1, 4), lambda model, batch: model(batch).sum())
except vanishing.StudyError as error:
    print(error)
distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("probe", "watch.probe: parameters are sharded"),
        ("partial", "watch: weight is the sum of what processes hold"),
    ],
)
def test_what_needs_all_processes_is_refused_by_name(
    case: str, message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path / "run"), case],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(message), done.stderr
