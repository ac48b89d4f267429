"""A short `make torture`: one stage of each kind that takes long, and faults while it runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.dvc_repository import lay_out, surroundings
from tests.support.processes import needs, until
from tests.support.study import DIGITS, tiny_params
from tests.torture import MAKE, Torture, table

COMMAND = (sys.executable, "-m", "dvc", "repro", "extract@relu")


@pytest.fixture
def torture(tmp_path: Path) -> Torture:
    """Give the pipeline up to the statistics of one variant."""
    content = tiny_params()
    content["train"] |= {"epochs": 20, "snapshots": [0, 10, 20]}
    lay_out(tmp_path / "study", content)
    return Torture(tmp_path / "study", COMMAND, seed=0)


def test_faults_cost_time_and_nothing_else(torture: Torture) -> None:
    for fault in ("group", "disk", "dvc", "edit"):
        torture.inject(fault)
    torture.check()
    assert torture.problems == []
    assert torture.survived == torture.injected


@needs(shutil.which("setpriv"), "setpriv is not installed here (Debian: apt install util-linux)")
@pytest.mark.parametrize("above", ["make", "shell"])
def test_dvc_ends_with_make_and_with_its_shell(tmp_path: Path, above: str) -> None:
    lay_out(tmp_path, tiny_params())
    with subprocess.Popen(
        MAKE,
        cwd=tmp_path,
        env=surroundings(MNIST_SOURCE=str(DIGITS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as make:
        dvc: list[psutil.Process] = []

        def begun() -> bool:
            below = psutil.Process(make.pid).children(recursive=True)
            dvc[:] = [each for each in below if each.cmdline()[1:3] == ["-m", "dvc"]]
            return bool(dvc)

        until(begun)
        psutil.Process(make.pid if above == "make" else dvc[0].ppid()).kill()
        _, alive = psutil.wait_procs(dvc, timeout=20)
    assert alive == []
    assert not (tmp_path / "dvc.lock").exists()


def test_what_is_lost_is_counted(torture: Torture, tmp_path: Path) -> None:
    torture.inject("group")
    (tmp_path / "study/params.yaml").write_bytes(
        (tmp_path / "study/params.yaml").read_bytes().replace(b"momentum: 0.9", b"momentum: 0.5")
    )
    torture.check()  # other parameters, other results: the harness has to see it
    assert "dvc.lock has another content" in torture.problems[0]
    assert "| all" in table(torture)
    assert torture.survived.total() < torture.injected.total()
