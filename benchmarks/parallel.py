"""Stages side by side: against the ideal, against `dvc repro`, and the driver's cost per stage."""

import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tqdm import tqdm

from benchmarks.measuring import Figures, Result, Row, command, interleave, ratio
from benchmarks.repository import repository
from benchmarks.study import ROOT
from tools.quick import copy_working_tree
from vanishing.environment import DATA_SOURCE, LIVE_METRICS
from vanishing.paths import LOCK, PARAMS, RAW

JOBS = (1, 2, 4, 8)
SLEEPING, SLEEP_S = 10, 3.0
MANY, FEWER = 1000, 100
VARIANTS = ("sigmoid", "tanh", "relu", "swish")
_ECHO = "echo ${item.index}"


def measure() -> Figures:
    """Measure stages that sleep, stages that do next to nothing, and the study."""
    results = [overhead_per_stage(), against_dvc(), against_dvc_on_mnist()]
    return Figures(results, {"sleeping": sleeping()})


def fan(width: int, work: str) -> dict[str, Any]:
    """Return a pipeline of `width` stages that all do `work`; `${item.index}` is their number."""
    return {
        "fan": {
            "matrix": {"index": list(range(width))},
            "cmd": f"{work} > ${{item.index}}.txt",
            "deps": ["input"],
            "outs": ["${item.index}.txt"],
        }
    }


def sleeping() -> list[Row]:
    """Time ten stages that sleep equally long, one to eight of them at a time."""
    rows = []
    for jobs in tqdm(JOBS, desc="sleeping", unit="run", disable=None):
        with repository(fan(SLEEPING, f"sleep {SLEEP_S} && {_ECHO}")) as folder:
            wall_s = _cluster_s(folder, jobs)
        ideal_s = SLEEP_S * math.ceil(SLEEPING / jobs)
        rows.append(
            {
                "jobs": jobs,
                "ideal, s": ideal_s,
                "measured, s": wall_s,
                "over, s": wall_s - ideal_s,
                "measured / ideal": wall_s / ideal_s,
            }
        )
    return rows


def overhead_per_stage() -> Result:
    """Divide the wall time of a thousand stages that do next to nothing by their number."""
    jobs = os.cpu_count() or 1
    with repository(fan(MANY, _ECHO)) as folder:
        wall_s = _cluster_s(folder, jobs)
    return Result(
        f"driver: overhead a stage, {MANY:,} stages, {jobs} at a time",
        wall_s / MANY,
        "<= 1",
        "",
        "s",
        f"{wall_s:.0f} s from start to end, Ray's start and `dvc repro` at the end included",
    )


def against_dvc() -> Result:
    """Compare the driver with `dvc repro` on stages that do next to nothing."""
    jobs = os.cpu_count() or 1
    with repository(fan(FEWER, _ECHO)) as folder:
        dvc_s = command("-m", "dvc", "repro", cwd=folder)()
    with repository(fan(FEWER, _ECHO)) as folder:
        cluster_s = _cluster_s(folder, jobs)
    return Result(
        f"`dvc repro` of {FEWER} stages that do nothing, over JOBS={jobs}",
        dvc_s / cluster_s,
        "",
        "",
        "×",
        f"{dvc_s:.1f} s over {cluster_s:.1f} s",
    )


def against_dvc_on_mnist() -> Result:
    """Compare all stages of four variants, one epoch on MNIST: one by one, and two at a time."""
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        cases = {
            "dvc": lambda: _study_s(parent / "dvc", "dvc", "repro"),
            "jobs": lambda: _study_s(parent / "jobs", "cluster", "--jobs", "2"),
        }
        times_s = interleave(cases, 1, "study")
    return Result(
        f"the study with {len(VARIANTS)} variants, one epoch: `dvc repro` over JOBS=2",
        ratio(times_s["dvc"], times_s["jobs"]),
        "",
        "",
        "×",
        f"{times_s['dvc'][0]:.0f} s over {times_s['jobs'][0]:.0f} s",
    )


def shorten(params: Path) -> None:
    """Keep VARIANTS and one seed, one epoch with a snapshot at each end, few initialisations."""
    yaml = YAML()
    content = yaml.load(params)
    content["train"] |= {"epochs": 1, "snapshots": [0, "last"], "seeds": [0]}
    content["extract"] |= {"init_seeds": 2, "sweep_depths": [1, 3, 8], "sweep_seeds": 1}
    content["expect"] = {}
    content["variants"] = {name: content["variants"][name] for name in VARIANTS}
    yaml.dump(content, params)


def _study_s(folder: Path, *arguments: str) -> float:
    """Time a module's command in a copy of the repository without results."""
    copy_working_tree(folder)
    shorten(folder / PARAMS)
    (folder / LOCK).unlink(missing_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)  # noqa: S607
    images = next(RAW.glob("*/raw")).resolve()
    return _command_s(folder, *arguments, **{DATA_SOURCE: str(images), LIVE_METRICS: "0"})


def _cluster_s(folder: Path, jobs: int) -> float:
    return _command_s(folder, "cluster", "--jobs", str(jobs))


def _command_s(folder: Path, module: str, *arguments: str, **variables: str) -> float:
    run = command("-m", module, *arguments, cwd=folder, PYTHONPATH=str(ROOT), **variables)
    return run()
