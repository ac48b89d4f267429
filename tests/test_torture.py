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

# DVC cannot read a dvc.lock that a full disk cut off: `make repro` too begins with `recover`.
_STEPS = [(*PYTHON, "tools.recover"), ("exec", *PYTHON, "dvc", "repro", "extract@relu-0")]
COMMAND = ("/bin/sh", "-c", " && ".join(" ".join(step) for step in _STEPS))


@pytest.mark.slow
def test_faults_cost_time_and_nothing_else_and_losses_are_counted(tmp_path: Path) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 20, "snapshots": [0, 10, "last"]}
    repository = tmp_path / "repository"
    lay_out(repository, content)
    torture = Torture(repository, COMMAND, seed=0, live=False)
    torture.inject("group")
    torture.check(done=True)  # it is not: the harness has to notice
    assert "other files" in torture.problems[0]
    for fault in ("disk", "dvc", "edit"):
        while not torture.injected[fault]:  # a run may come to its end before its fault
            torture.inject(fault)
    torture.check()
    assert torture.problems[1:] == []
    assert torture.survived == {"disk": 1, "dvc": 1, "edit": 1}
    assert torture.injected.total() == 4

    lock = repository / "dvc.lock"
    lock.write_bytes(lock.read_bytes() + b"# edited\n")
    torture.check(done=True)
    assert "dvc.lock has another content" in torture.problems[1]
    (total,) = [line for line in table(torture).splitlines() if "| all" in line]
    assert [int(cell) for cell in total.split("|")[3:6]] == [4, 3, 1]


@pytest.mark.slow
@needs(shutil.which("setpriv"), "setpriv is not installed here (Debian: apt install util-linux)")
@pytest.mark.parametrize("above", ["make", "shell", "repro"])
def test_dvc_ends_with_each_process_above_it(repository: Path, above: str) -> None:
    (repository / "dvc.lock").unlink()
    with subprocess.Popen(
        MAKE,
        cwd=repository,
        env=environment_in(repository, VANISHING_DATA_SOURCE=str(DIGITS)),
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
