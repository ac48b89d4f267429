"""Stages under a real `dvc repro`: what is edited meanwhile, what is killed, two at once."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import alive, until
from tests.support.study import ROOT
from vanishing.pipeline.guard import dependencies

PIPELINE = """
stages:
  toy:
    foreach: ${variants}
    do:
      cmd: python toy.py ${key}
      deps: [toy.py, input]
      params: ["train.epochs", "variants.${key}"]
      outs: ["out-${key}"]
"""
PARAMS = "train: {epochs: 1, device: cpu}\nvariants: {one: {depth: 1}, two: {depth: 2}}\n"
TOY = """
import os, sys, time
from pathlib import Path
from vanishing.pipeline.guard import run_stage
def main(argv):
    (key,) = argv
    Path(f"started-{key}").write_text(str(os.getpid()))
    while not Path("go").exists():
        time.sleep(0.02)
    Path(f"out-{key}").write_text(key)
sys.exit(run_stage(main))
"""


def dvc(*arguments: str) -> subprocess.Popen[str]:
    """Start DVC."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository whose stages wait for the file `go`, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"]):
        with dvc(*arguments) as process:
            process.communicate()
    for name, text in (("dvc.yaml", PIPELINE), ("params.yaml", PARAMS), ("toy.py", TOY)):
        Path(name).write_text(text)
    Path("input").mkdir()
    Path("input/file").write_text("a")
    return tmp_path


def process_of(key: str) -> int:
    """Wait until a stage runs; return its process."""
    path = Path(f"started-{key}")
    until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("params.yaml", PARAMS.replace("depth: 1", "depth: 9"), "params.yaml: variants.one"),
        ("params.yaml", PARAMS.replace("epochs: 1", "epochs: 2"), "params.yaml: train.epochs"),
        ("toy.py", TOY + "\n", "toy.py"),
        ("input/file", "b", "input/file"),
        ("params.yaml", "train: [", "params.yaml: cannot be read"),
    ],
)
def test_an_edit_of_what_a_stage_depends_on_is_refused(
    toy: Path, file: str, text: str, named: str
) -> None:
    with dvc("repro", "toy@one") as process:
        process_of("one")
        (toy / file).write_text(text)
        (toy / "go").touch()
        printed, _ = process.communicate()
    assert process.returncode != 0
    assert f"error: {named}" in printed
    assert not (toy / "dvc.lock").exists()


def test_an_edit_of_anything_else_is_not(toy: Path) -> None:
    with dvc("repro", "toy@one") as process:
        process_of("one")
        (toy / "params.yaml").write_text(PARAMS.replace("depth: 2", "depth: 9") + "more: 1\n")
        (toy / "go").touch()
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "depth: 1" in (toy / "dvc.lock").read_text()


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # the first stays, between the two
def test_a_stage_ends_with_the_dvc_that_runs_it(
    toy: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", shell)
    with dvc("repro", "toy@one") as process:
        stage = process_of("one")
        process.send_signal(signal.SIGKILL)
        until(lambda: not alive(stage))
    assert not (toy / "out-one").exists()


def test_what_a_stage_has_started_ends_with_it(toy: Path) -> None:
    start = (
        'import subprocess\nPath("below").write_text(str(subprocess.Popen(["sleep", "60"]).pid))'
    )
    (toy / "toy.py").write_text(TOY.replace("def main", f"{start}\ndef main"))
    with dvc("repro", "toy@one") as process:
        stage = process_of("one")
        below = int((toy / "below").read_text())
        assert alive(below)
        process.kill()
        until(lambda: not alive(stage) and not alive(below))


@pytest.fixture(params=["init", "starter"])
def adopter(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let orphans be adopted by the first process, or by this one, as the first in a container."""
    prctl, child_subreaper = ctypes.CDLL(None).prctl, 36
    prctl(child_subreaper, request.param == "starter")
    yield
    prctl(child_subreaper, 0)


@pytest.mark.usefixtures("adopter")
def test_a_stage_ends_where_dvc_is_gone_before_it_can_look(toy: Path) -> None:
    (toy / "toy.py").write_text("import time\ntime.sleep(2)\n" + TOY)
    with dvc("repro", "toy@one") as process:
        stages: list[psutil.Process] = []

        def begun() -> bool:
            below = psutil.Process(process.pid).children(recursive=True)
            stages[:] = [each for each in below if each.cmdline()[:2] == ["python", "toy.py"]]
            return bool(stages)

        until(begun)
        process.kill()
        gone, _ = psutil.wait_procs(stages, timeout=30)
    assert gone
    assert not (toy / "started-one").exists()
    assert not (toy / "out-one").exists()


def test_of_two_at_once_one_is_refused_or_waits_for_nothing(toy: Path) -> None:
    with dvc("repro", "toy@one") as first:
        process_of("one")
        with dvc("repro", "toy@one") as second:
            printed, _ = second.communicate()
        assert second.returncode != 0
        assert "busy" in printed or "lock" in printed
        (toy / "go").touch()
        first.communicate()
    assert first.returncode == 0
    assert (toy / "out-one").read_text() == "one"


def test_looking_at_the_status_disturbs_nothing(toy: Path) -> None:
    with dvc("repro", "toy@one") as process:
        process_of("one")
        with dvc("status") as status:
            printed, _ = status.communicate()
        assert status.returncode == 0 or "busy" in printed or "lock" in printed
        (toy / "go").touch()
        process.communicate()
    assert process.returncode == 0


def test_what_a_stage_depends_on_is_what_dvc_yaml_says(toy: Path) -> None:
    assert toy == Path.cwd()
    assert list(dependencies("toy@two")) == [
        "toy.py",
        "input/file",
        "params.yaml: train.epochs",
        "params.yaml: variants.two",
    ]
