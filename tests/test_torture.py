"""A short `make torture`: one stage of each kind that takes long, and faults while it runs."""

import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.dvc_repository import PYTHON, environment_in, lay_out
from tests.support.processes import below, needs, until
from tests.support.study import DIGITS, tiny_params
from tests.torture import MAKE, Torture, prepare, table

COMMAND = (*PYTHON, "dvc", "repro", "extract@relu-0")


@pytest.mark.slow
def test_faults_cost_time_and_nothing_else_and_losses_are_counted(tmp_path: Path) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 20, "snapshots": [0, 10, 20]}
    repository = tmp_path / "repository"
    lay_out(repository, content)
    torture = Torture(repository, COMMAND, seed=0)
    for fault in ("group", "disk", "dvc", "edit"):
        torture.inject(fault)
    torture.check()
    assert torture.problems == []
    assert torture.survived == torture.injected

    params = (repository / "params.yaml").read_bytes()
    (repository / "params.yaml").write_bytes(params.replace(b"momentum: 0.9", b"momentum: 0.5"))
    torture.inject("group")
    torture.check()  # other parameters, other results: the harness has to notice
    assert "dvc.lock has another content" in torture.problems[0]
    assert "| all" in table(torture)
    assert torture.survived.total() < torture.injected.total()


@pytest.mark.slow
@needs(shutil.which("setpriv"), "setpriv is not installed here (Debian: apt install util-linux)")
@pytest.mark.parametrize("above", ["make", "shell", "repro"])
def test_dvc_ends_with_each_process_above_it(repository: Path, above: str) -> None:
    (repository / "dvc.lock").unlink()
    with subprocess.Popen(
        MAKE,
        cwd=repository,
        env=environment_in(repository, MNIST_SOURCE=str(DIGITS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as make:
        until(lambda: below(make.pid, "-m", "dvc") != [])
        dvc = below(make.pid, "-m", "dvc")
        repro = dvc[0].parent()
        assert repro is not None
        shell = repro.parent()
        assert shell is not None
        {"make": psutil.Process(make.pid), "shell": shell, "repro": repro}[above].kill()
        _, alive = psutil.wait_procs(dvc, timeout=20)
    assert alive == []
    assert not (repository / "dvc.lock").exists()


def test_a_study_is_tortured_in_its_folder(tmp_path: Path) -> None:
    study = Path("studies/depths")
    assert prepare(tmp_path / "repository", study) == (*MAKE, "STUDY=studies/depths")
    assert (tmp_path / "repository" / study / "params.yaml").exists()
    assert prepare(tmp_path / "root", Path()) == MAKE
