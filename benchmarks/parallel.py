"""Stages side by side: against the ideal, `dvc repro`, and what a stage costs the driver."""

import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tqdm import tqdm

from benchmarks.measuring import Result, command, interleave, ratio
from benchmarks.repository import repository
from tools.quick import copy_working_tree, shorten
from vanishing.files import RAW
from vanishing.paths import PARAMS

JOBS = (1, 2, 4, 8)
SLEEPING, SLEEP_S = 10, 3.0
MANY, FEWER = 1000, 100
VARIANTS = ("sigmoid", "tanh", "relu", "swish")


def fan(width: int, work: str) -> dict[str, Any]:
    """Return a pipeline of `width` stages that do the same."""
    return {
        "fan": {
            "foreach": list(range(width)),
            "do": {
                "cmd": f"{work} > ${{item}}.txt",
                "deps": ["input"],
                "outs": ["${item}.txt"],
            },
        }
    }


def sleeping() -> list[dict[str, Any]]:
    """Time ten stages that sleep equally long, one to eight of them at a time."""
    rows = []
    for jobs in tqdm(JOBS, desc="sleeping", unit="run", disable=None):
        with repository(fan(SLEEPING, f"sleep {SLEEP_S} && echo ${{item}}")) as folder:
            wall_s = _cluster(folder, jobs)
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


def measure() -> list[Result]:
    """Measure everything but `sleeping`."""
    return [*many(), *fewer(), *study()]


def many() -> list[Result]:
    """Divide the wall time of a thousand stages that do next to nothing by their number."""
    jobs = os.cpu_count() or 1
    with repository(fan(MANY, "echo ${item}")) as folder:
        wall_s = _cluster(folder, jobs)
    return [
        Result(
            f"driver: overhead a stage, {MANY:,} stages, {jobs} at a time",
            wall_s / MANY,
            "<= 1",
            "",
            "s",
            f"{wall_s:.0f} s from start to end, Ray's start and `dvc repro` at the end included",
        )
    ]


def fewer() -> list[Result]:
    """Compare the driver with `dvc repro` where stages do next to nothing."""
    jobs = os.cpu_count() or 1
    with repository(fan(FEWER, "echo ${item}")) as folder:
        plain_s = command("-m", "dvc", "repro", cwd=folder)()
    with repository(fan(FEWER, "echo ${item}")) as folder:
        ours_s = _cluster(folder, jobs)
    return [
        Result(
            f"`dvc repro` of {FEWER} stages that do nothing, over JOBS={jobs}",
            plain_s / ours_s,
            "",
            "",
            "×",
            f"{plain_s:.1f} s over {ours_s:.1f} s",
        )
    ]


def study() -> list[Result]:
    """Compare one epoch of four variants on MNIST, all stages, one by one and two at a time."""
    with tempfile.TemporaryDirectory() as top:
        found = interleave(
            {
                "plain": lambda: _study(Path(top), "dvc", "repro"),
                "jobs": lambda: _study(Path(top), "cluster", "--jobs", "2"),
            },
            1,
            "study",
        )
    return [
        Result(
            f"the study with {len(VARIANTS)} variants, one epoch: `dvc repro` over JOBS=2",
            ratio(found["plain"], found["jobs"]),
            "",
            "",
            "×",
            f"{found['plain'][0]:.0f} s over {found['jobs'][0]:.0f} s",
        )
    ]


def _study(top: Path, *arguments: str) -> float:
    folder = top / arguments[0]
    copy_working_tree(folder)
    shorten(folder / PATH)
    yaml = YAML()
    content = yaml.load(folder / PATH)
    content["expect"] = {}
    content["variants"] = {name: content["variants"][name] for name in VARIANTS}
    yaml.dump(content, folder / PATH)
    (folder / "dvc.lock").unlink()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)  # noqa: S607
    here = {"MNIST_SOURCE": str(next(RAW.glob("*/raw")).resolve()), "LIVE_METRICS": "0"}
    return command("-m", *arguments, **_in(folder), **here)()


def _cluster(folder: Path, jobs: int) -> float:
    return command("-m", "cluster", "--jobs", str(jobs), **_in(folder))()


def _in(folder: Path) -> dict[str, Any]:
    return {"cwd": folder, "PYTHONPATH": str(Path.cwd())}
