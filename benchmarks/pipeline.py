"""What surrounds the arithmetic: DVC with nothing to do, a process's start, memory."""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measuring import Result, command, interleave, ratio
from benchmarks.repository import repository
from benchmarks.training import VARIANT
from tests.support.study import BASELINE, DIGITS, tiny_params, write_params
from vanishing.datasets import examples, idx
from vanishing.datasets.examples import Examples
from vanishing.files import RAW
from vanishing.networks.mlp import build
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.seeds import generator

REPEATS = 5
_PROBE = """
import sys
import stages.train
def peak():  # not ru_maxrss, which a process takes over from the one that started it
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
before = peak()
stages.train.main(sys.argv[1:])
print(before, peak())
"""


def stage_names() -> list[str]:
    """Return the names of the study's stages, one per variant where there are several."""
    stages = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))["stages"]
    variants = load(Study).variants
    return [
        f"{name}-{variant}" if variant else name
        for name, stage in stages.items()
        for variant in (variants if "foreach" in stage else [""])
    ]


@contextlib.contextmanager
def true_stages() -> Iterator[Path]:
    """Make a repository whose pipeline has as many stages as the study's, each of them `true`."""
    with repository({n: {"cmd": "true", "deps": ["input"]} for n in stage_names()}) as path:
        subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=path, check=True)
        yield path


def nothing_to_do() -> list[Result]:
    """Compare `dvc repro` here, where all is up to date, with the pipeline of `true` stages."""
    what = "`dvc repro` with nothing to do, over a pipeline of as many `true` stages"
    dry = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "-q"], check=False, capture_output=True
    )
    if dry.returncode:
        return [Result(what, None, "<= 1.3", "<= 1.1", "×", "not measured: run `make repro` first")]
    with true_stages() as folder:
        cases = {
            "study": command("-m", "dvc", "repro"),
            "true": command("-m", "dvc", "repro", cwd=folder),
        }
        found = interleave(cases, REPEATS, "dvc repro")
    study, true = (statistics.median(found[name]) for name in cases)
    detail = f"{study:.2f} s over {true:.2f} s, {len(stage_names())} stages"
    return [Result(what, ratio(found["study"], found["true"]), "<= 1.3", "<= 1.1", "×", detail)]


def start() -> list[Result]:
    """Compare a train stage of one step with importing torch alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        content = tiny_params()
        content["train"] |= {"epochs": 1, "snapshots": [0, 1], "batch_size": 10_000}
        content["variants"] = {VARIANT: BASELINE | {"depth": 5, "width": 1000}}
        write_params(path, content)
        here = {"PYTHONPATH": str(Path.cwd()), "MNIST_SOURCE": str(DIGITS)}
        command("-m", "stages.download", cwd=path, **here)()
        cases = {
            "stage": command("-m", "stages.train", VARIANT, cwd=path, **here),
            "import": command("-c", "import torch"),
        }
        found = interleave(cases, REPEATS, "start")
    stage, alone = (statistics.median(found[name]) for name in cases)
    return [
        Result(
            "a train stage of one step, wall time over `import torch` alone",
            ratio(found["stage"], found["import"]),
            "<= 2",
            "<= 1.3",
            "×",
            f"{stage:.2f} s over {alone:.2f} s",
        )
    ]


def memory() -> list[Result]:
    """Compare the memory that an epoch of training takes with what it has to hold."""
    settings = load(Study)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        content = YAML(typ="safe", pure=True).load(Path("params.yaml"))
        content["train"] |= {"epochs": 1, "snapshots": [0, 1], "device": "cpu"}
        write_params(path, content)
        (path / RAW).parent.mkdir(parents=True)
        (path / RAW).symlink_to(RAW.resolve())
        done = subprocess.run(  # noqa: S603 - this Python and this project
            [sys.executable, "-c", _PROBE, VARIANT],
            cwd=path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            check=True,
            capture_output=True,
            text=True,
        )
    imported, peak = map(int, done.stdout.split()[-2:])
    variant = settings.variant(VARIANT)
    parameters = sum(p.numel() for p in build(variant, 784, 10, generator(0, "x")).parameters())
    images = sum(e.images.nbytes + e.labels.nbytes for e in _data(settings))
    held = 3 * 4 * parameters + images
    return [
        Result(
            "peak memory of train, over weights, gradients, momentum and data",
            (peak - imported) / held,
            "<= 2",
            "<= 1.3",
            "×",
            f"{(peak - imported) / 2**20:.0f} MiB over {held / 2**20:.0f} MiB, on top of"
            f" {imported / 2**20:.0f} MiB of interpreter and libraries",
        )
    ]


def _data(settings: Study) -> Iterator[Examples]:
    for split in idx.FILES:
        yield examples.load(RAW, split, settings.data)


def measure() -> list[Result]:
    """Measure the rows of the table."""
    return [*nothing_to_do(), *start(), *memory()]
