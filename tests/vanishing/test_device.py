"""The device that a stage computes on."""

import os
import re
import subprocess
import sys

import pytest
import torch

from vanishing import device
from vanishing.errors import StudyError
from vanishing.results.run import Machine


@pytest.fixture(params=[True, False], ids=["gpu", "no-gpu"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let torch see a GPU, or none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    monkeypatch.setattr(torch, "ones", lambda _size, **_device: torch.zeros(1))  # it works
    return bool(request.param)


def test_auto_is_a_gpu_if_there_is_one(gpu: bool) -> None:
    assert device.resolve("auto") == torch.device("cuda" if gpu else "cpu")


def test_the_cpu_is_always_there(gpu: bool) -> None:
    assert device.resolve("cpu") == torch.device("cpu"), gpu


def test_a_gpu_that_is_named_and_missing_is_refused(gpu: bool) -> None:
    if gpu:
        assert device.resolve("cuda") == torch.device("cuda")
    else:
        with pytest.raises(StudyError, match=r"train\.device: cuda, but torch sees no GPU"):
            device.resolve("cuda")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_torch_sees_and_cannot_use_is_refused(name: str) -> None:
    code = (
        "import sys, torch\n"
        "from vanishing import device\n"
        "torch.cuda.is_available = lambda: True\n"
        "device.resolve(sys.argv[1])\n"
    )
    # A new process: torch looks for GPUs once, and here it finds none, on any machine.
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    message = r"train\.device: torch sees a GPU, but cannot compute on it \(.+\); use cpu"
    last = done.stderr.splitlines()[-1]
    assert last.startswith("vanishing.errors.StudyError: ")
    assert last.endswith("supports this GPU")  # all of it is one line
    assert re.search(message, last)


def test_the_machine_is_described_by_what_decides_about_the_last_digits() -> None:
    machine = Machine.model_validate(device.machine(torch.device("cpu")))
    assert machine.instructions == torch.backends.cpu.get_cpu_capability()
    assert (machine.threads, machine.torch) == (torch.get_num_threads(), torch.__version__)


def test_the_cpu_has_a_name_and_a_peak_of_memory() -> None:
    cpu = torch.device("cpu")
    assert device.describe(cpu)
    assert 10e6 < device.peak_memory_bytes(cpu) < 1e12
