"""The cost around the arithmetic: DVC with nothing to do, a stage's start, memory."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo

from benchmarks import study
from benchmarks.measuring import Figures, Result, command, interleave, ratio, run_python
from benchmarks.repository import repository
from benchmarks.training import VARIANT, build_network
from vanishing.datasets import examples
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import PIPELINE, RAW
from vanishing.pipeline.lifetime import STAGE

REPEATS = 5
SEED = 0


def measure() -> Figures:
    """Measure DVC, a stage's start and its memory."""
    return Figures([nothing_to_do(), stage_start(), stage_memory()], {})


def stage_names() -> list[str]:
    """Return the stages of dvc.yaml, as DVC resolves its matrices with params.yaml."""
    with Repo() as repo:
        return [stage.name for stage in repo.stage.load_all(str(PIPELINE))]


@contextlib.contextmanager
def true_stages(count: int) -> Iterator[Path]:
    """Make a repository whose pipeline has `count` stages, all `true` and up to date."""
    stage = {"cmd": "true", "deps": ["input"]}
    with repository({f"stage-{index}": stage for index in range(count)}) as folder:
        run_python("-m", "dvc", "repro", "-q", cwd=folder)
        yield folder


def nothing_to_do() -> Result:
    """Compare `dvc repro` of the study, all of it up to date, with a pipeline of `true` stages."""
    what = "`dvc repro` with nothing to do, over a pipeline of as many `true` stages"
    status = subprocess.run(  # noqa: S603 - this Python, fixed words
        [sys.executable, "-m", "dvc", "status", "-q", str(PIPELINE)],
        check=False,
        capture_output=True,
    )
    if status.returncode:
        return Result(what, None, "<= 1.3", "<= 1.1", "×", "not measured: run `make repro` first")
    count = len(stage_names())
    with true_stages(count) as folder:
        cases = {
            "study": command("-m", "dvc", "repro"),
            "true": command("-m", "dvc", "repro", cwd=folder),
        }
        times_s = interleave(cases, REPEATS, "dvc repro")
    study_s, true_s = (statistics.median(times_s[name]) for name in cases)
    detail = f"{study_s:.2f} s over {true_s:.2f} s, {count} stages"
    value = ratio(times_s["study"], times_s["true"])
    return Result(what, value, "<= 1.3", "<= 1.1", "×", detail)


def stage_start() -> Result:
    """Compare a train stage of one step, run as DVC runs it, with importing torch alone."""
    content = study.small_params(
        {VARIANT: {"depth": 5, "width": 1000}},
        epochs=1,
        snapshots=[0, "last"],
        batch_size=10_000,
        seeds=[SEED],
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study.lay_out(folder, content)
        study.run_stage(folder, "download")
        environment = study.ENVIRONMENT | {STAGE: f"train@{VARIANT}-{SEED}"}
        train = ("-m", "stages", "train", VARIANT, str(SEED))
        cases = {
            "stage": command(*train, cwd=folder, **environment),
            "import": command("-c", "import torch"),
        }
        times_s = interleave(cases, REPEATS, "start")
    stage_s, import_s = (statistics.median(times_s[name]) for name in cases)
    return Result(
        "a train stage of one step, wall time over `import torch` alone",
        ratio(times_s["stage"], times_s["import"]),
        "<= 2",
        "<= 1.3",
        "×",
        f"{stage_s:.2f} s over {import_s:.2f} s",
    )


def stage_memory() -> Result:
    """Compare the memory that an epoch of training takes with the tensors that it has to hold."""
    content = study.read_params()
    content["train"] |= {"epochs": 1, "snapshots": [0, "last"], "seeds": [SEED], "device": "cpu"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study.lay_out(folder, content)
        (folder / RAW).symlink_to(RAW.resolve())
        train = ("-m", "benchmarks.peak", "train", VARIANT, str(SEED))
        printed = run_python(*train, cwd=folder, **study.ENVIRONMENT)
    memory = json.loads(printed.splitlines()[-1])
    taken, held = memory["peak"] - memory["imported"], tensor_bytes(load(Study))
    return Result(
        "peak memory of train, over weights, gradients, momentum and data",
        taken / held,
        "<= 2",
        "<= 1.3",
        "×",
        f"{taken / 2**20:.0f} MiB over {held / 2**20:.0f} MiB, on top of"
        f" {memory['imported'] / 2**20:.0f} MiB of interpreter and libraries",
    )


def tensor_bytes(settings: Study) -> int:
    """Return the bytes of VARIANT's weights, gradients and velocities, and of all examples."""
    network = build_network(settings, settings.perceptrons[VARIANT])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    splits = [examples.load(RAW, split, settings.data) for split in examples.SPLITS]
    return 3 * 4 * parameters + sum(s.inputs.nbytes + s.labels.nbytes for s in splits)
