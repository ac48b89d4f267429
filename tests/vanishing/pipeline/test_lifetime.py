"""Stages under a real `dvc repro`: inputs that are edited, DVC that is killed, two at once."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import alive, until
from tests.support.study import ROOT
from tests.vanishing.pipeline.packages import write_package

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  toy:
    matrix:
      variant: ${variants}
    cmd: python toy.py ${item.variant}
    deps: [toy.py, input]
    params: ["variants.${item.variant}"]
    outs: ["out-${item.variant}"]
"""
PARAMS = "variants: {one: {depth: 1}, two: {depth: 2}}\n"
TOY = """
import os, subprocess, sys, time
from functools import partial
from pathlib import Path
from vanishing.errors import run_command
from vanishing.pipeline.guard import guard
from vanishing.pipeline.lifetime import end_with_dvc
def run(key):
    child = subprocess.Popen(["sleep", "60"])
    Path(f"started-{key}.part").write_text(f"{os.getpid()} {child.pid}")
    Path(f"started-{key}.part").rename(f"started-{key}")
    while not Path("go").exists():
        time.sleep(0.02)
    child.kill()
    Path(f"out-{key}").write_text(key)
def main(argv):
    end_with_dvc()
    guard("toy", argv, partial(run, *argv))
sys.exit(run_command(main))
"""


def dvc(*arguments: str) -> subprocess.Popen[str]:
    """Start DVC in the working directory."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a DVC repository whose stages wait for the file `go`; for reading only."""
    folder = tmp_path_factory.mktemp("template")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)
    files = {"dvc.yaml": PIPELINE, "params.yaml": PARAMS, "toy.py": TOY, "input/file": "a"}
    write_package(
        folder, files | {".dvc/config": "[core]\n    analytics = false\n    no_scm = true\n"}
    )
    return folder


@pytest.fixture
def toy(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the repository, as the working directory."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def processes_of(key: str) -> list[int]:
    """Wait until a stage runs; return its process and the one that it has started."""
    path = Path(f"started-{key}")
    until(path.exists)
    return [int(text) for text in path.read_text().split()]


@pytest.mark.parametrize(("edited", "is_refused"), [("one", True), ("two", False)])
def test_dvc_writes_down_no_results_of_inputs_that_changed_meanwhile(
    toy: Path, edited: str, is_refused: bool
) -> None:
    with dvc("repro", "toy@one") as process:
        processes_of("one")
        depth = f"{edited}: {{depth: "
        (toy / "params.yaml").write_text(PARAMS.replace(depth, f"{depth}9"))
        (toy / "go").touch()
        printed, _ = process.communicate()
    if is_refused:
        assert process.returncode != 0
        assert "error: params.yaml: variants.one: changed while toy one ran" in printed
        assert not (toy / "dvc.lock").exists()
    else:
        assert process.returncode == 0, printed
        assert "depth: 1" in (toy / "dvc.lock").read_text()


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # the first stays, between the two
def test_a_stage_and_the_processes_that_it_started_end_with_the_dvc_that_runs_it(
    toy: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", shell)
    with dvc("repro", "toy@one") as process:
        processes = processes_of("one")
        assert all(map(alive, processes))
        process.send_signal(signal.SIGKILL)
        until(lambda: not any(map(alive, processes)))
    assert not (toy / "out-one").exists()


@pytest.fixture(params=["init", "starter"])
def adopter(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let orphans be adopted by the first process, or by this one, as the first in a container."""
    prctl, child_subreaper = ctypes.CDLL(None).prctl, 36
    prctl(child_subreaper, request.param == "starter")
    yield
    prctl(child_subreaper, 0)


@pytest.mark.usefixtures("adopter")
def test_a_stage_ends_whose_dvc_has_ended_before_it_could_look(toy: Path) -> None:
    (toy / "toy.py").write_text("import time\ntime.sleep(1)\n" + TOY)
    with dvc("repro", "toy@one") as process:
        stages: list[psutil.Process] = []

        def has_begun() -> bool:
            children = psutil.Process(process.pid).children(recursive=True)
            stages[:] = [child for child in children if child.cmdline()[:2] == ["python", "toy.py"]]
            return bool(stages)

        until(has_begun)
        process.kill()
        ended, _ = psutil.wait_procs(stages, timeout=30)
    assert ended
    assert not (toy / "started-one").exists()
    assert not (toy / "out-one").exists()


def test_a_second_dvc_meanwhile_is_refused_and_disturbs_nothing(toy: Path) -> None:
    with dvc("repro", "toy@one") as first:
        processes_of("one")
        with dvc("repro", "toy@one") as second, dvc("status") as status:
            printed, _ = second.communicate()
            shown, _ = status.communicate()
        assert second.returncode != 0
        assert "busy" in printed or "lock" in printed
        assert status.returncode == 0 or "busy" in shown or "lock" in shown
        (toy / "go").touch()
        first.communicate()
    assert first.returncode == 0
    assert (toy / "out-one").read_text() == "one"
