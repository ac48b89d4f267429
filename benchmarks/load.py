"""Many variants and long histories: how time and memory of the closing stages grow."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.measuring import Result, command, timed
from tests.support.many_variants import multiply
from tests.support.study import BASELINE, DIGITS, tiny_params, write_lock, write_params
from vanishing.files import MODELS, REPORTS, STATISTICS

EPOCHS = 500
VARIANTS = (50, 100, 200)
STAGES = ("diagnose", "render", "report", "track")
LIMIT_GIB = 2
# What a process reports of itself: `ru_maxrss` it takes over from the one that started it.
_PROBE = """
import importlib, sys
importlib.import_module(f"stages.{sys.argv[1]}").main([])
with open("/proc/self/status") as file:
    print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
"""
_TRAINED: dict[str, dict[str, Any]] = {
    "sigmoid": BASELINE,
    "relu": BASELINE | {"activation": "relu", "compare_to": "sigmoid"},
    "tanh-xavier": BASELINE
    | {"activation": "tanh", "init": "xavier_uniform", "compare_to": "sigmoid"},
    # Losses and gradients that are not finite, from the first step on.
    "overflow": BASELINE
    | {"activation": "relu", "init": "normal", "std": 1e6, "depth": 8, "compare_to": "sigmoid"},
}

Row = dict[str, Any]


@functools.cache
def load() -> list[Row]:
    """Run the closing stages on studies of more and more variants, copies of trained ones."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder) / "trained"
        content = _train(trained)
        for count in tqdm(VARIANTS, desc="load", unit="study", disable=None):
            path = Path(folder) / str(count)
            for parent in (MODELS, STATISTICS):
                shutil.copytree(trained / parent, path / parent)
            multiply(path, {**content, "variants": dict(content["variants"])}, count)
            row: Row = {"variants": count, "epochs": EPOCHS}
            for stage in STAGES:
                if stage == "track":
                    write_lock(path)
                seconds, gib = _run(path, stage)
                row |= {f"{stage}, s": seconds, f"{stage}, GiB": gib}
            row["report, kB"] = (path / REPORTS / "README.md").stat().st_size / 1e3
            rows.append(row)
            shutil.rmtree(path)
    return rows


def measure() -> list[Result]:
    """Sum the table up: the largest memory, and how time grows."""
    *_, half, whole = load()
    count = whole["variants"]
    memory = {stage: whole[f"{stage}, GiB"] for stage in STAGES}
    worst = max(memory, key=memory.__getitem__)
    seconds = [sum(row[f"{stage}, s"] for stage in STAGES) for row in (half, whole)]
    what = f"{', '.join(STAGES)} of {count} variants of {EPOCHS} epochs"
    return [
        Result(
            f"{what}: the largest peak memory",
            memory[worst],
            f"<= {LIMIT_GIB}",
            "<= 0.5",
            "GiB",
            f"of {worst}, libraries included",
        ),
        Result(
            f"{what}: time over that of {half['variants']}, for each variant",
            seconds[1] / seconds[0] * half["variants"] / count,
            "<= 1.1",
            "<= 1",
            "×",
            f"{seconds[1]:.0f} s over {seconds[0]:.0f} s",
        ),
    ]


def _train(folder: Path) -> Row:
    """Train and extract a few variants; return params.yaml's content."""
    content = tiny_params()
    content["train"] |= {"epochs": EPOCHS, "snapshots": [0, 1, EPOCHS], "trace_every": 50}
    content["variants"] = {name: dict(variant) for name, variant in _TRAINED.items()}
    folder.mkdir()
    write_params(folder, content)
    here = {"PYTHONPATH": str(Path.cwd()), "MNIST_SOURCE": str(DIGITS), "LIVE_METRICS": "0"}
    command("-m", "stages.download", cwd=folder, **here)()
    for name in _TRAINED:
        command("-m", "stages.train", name, cwd=folder, **here)()
        command("-m", "stages.extract", name, cwd=folder, **here)()
    return content


def _run(folder: Path, stage: str) -> tuple[float, float]:
    """Run a stage in a process of its own; return its seconds and its peak memory in GiB."""
    printed: list[str] = []

    def work() -> None:
        done = subprocess.run(  # noqa: S603 - this Python and this project
            [sys.executable, "-c", _PROBE, stage],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), "MLFLOW_TRACKING_URI": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{stage}: {done.stderr.strip()}")
        printed.append(done.stdout.split()[-1])

    seconds = timed(work)
    return seconds, int(printed[0]) / 2**20
