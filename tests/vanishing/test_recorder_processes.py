"""Trainings of several processes: who records, under which names, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD

import vanishing
from vanishing import read_run
from vanishing.errors import StudyError

TRAINING = """
import sys
import torch
from torch import distributed, nn
import vanishing
rank, folder = int(sys.argv[1]), sys.argv[2]
store = distributed.FileStore(folder + "/store", 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
model = nn.parallel.DistributedDataParallel(network)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
rng = torch.Generator().manual_seed(1)
with vanishing.watch(model, optimizer, folder=f"{folder}/rank-{rank}", every=5) as watch:
    for step in range(12):
        half = torch.randn(8, 6, generator=rng)[4 * rank :][:4]
        loss = model(half).square().mean()
        watch.loss(loss)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
distributed.destroy_process_group()
"""


def train_alone(folder: Path) -> None:
    """Train the same network on the same batches in one process."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = SGD(model.parameters(), 0.1)
    rng = torch.Generator().manual_seed(1)
    with vanishing.watch(model, optimizer, folder=folder, every=5):
        for _ in range(12):
            model(torch.randn(8, 6, generator=rng)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()


def test_rank_0_records_what_one_process_would(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert not (tmp_path / "rank-1").exists()
    train_alone(tmp_path / "alone")
    keys = ["step", "layer", "tensor", "statistic"]
    tables = []
    for name in ("rank-0", "alone"):
        trace = read_run(tmp_path / name, "trace")
        of_parameters = trace["tensor"].isin(["weight_gradient", "bias_gradient", "update"])
        norms = trace[of_parameters & (trace["statistic"] == "l2_norm")]
        tables.append(norms.set_index(keys)["value"])
    assert tables[0].index.equals(tables[1].index)
    assert tables[0].to_numpy() == pytest.approx(tables[1].to_numpy(), rel=1e-5)


class FullyShardedDataParallel(nn.Module):
    """Stands for the class of torch, which needs a process group."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.ones(4))


def test_sharded_parameters_are_refused_by_name(tmp_path: Path) -> None:
    model = FullyShardedDataParallel()
    with pytest.raises(StudyError, match=r"parameters are sharded by FullyShardedDataParallel"):
        vanishing.watch(model, SGD(model.parameters()), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_distributed_tensor_is_refused_by_name(tmp_path: Path) -> None:
    code = (
        "import sys, torch, vanishing\n"
        "from torch import distributed, nn\n"
        "from torch.distributed.fsdp import fully_shard\n"
        "store = distributed.HashStore()\n"
        "distributed.init_process_group('gloo', store=store, rank=0, world_size=1)\n"
        "mesh = distributed.device_mesh.init_device_mesh('cpu', (1,))\n"
        "model = fully_shard(nn.Linear(4, 4), mesh=mesh)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "try:\n"
        "    vanishing.watch(model, optimizer, folder=sys.argv[1])\n"
        "except vanishing.StudyError as error:\n"
        "    print(error)\n"
        "distributed.destroy_process_group()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "watch: parameters are sharded by fully_shard (FSDP2)" in done.stdout, done.stderr
    assert not (tmp_path / "run").exists()
