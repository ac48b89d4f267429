"""Many variants and long histories: how time and memory of the closing stages grow."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import study
from benchmarks.copies import multiply, write_lock
from benchmarks.measuring import Figures, Result, Row, run_python, seconds
from vanishing.paths import REPORT

EPOCHS = 500
VARIANTS = (50, 100, 200)
STAGES = ("diagnose", "render", "report", "track")
LIMIT_GIB = 2
SEED = 0
_TRAINED: dict[str, Row] = {
    "sigmoid": {},
    "relu": {"activation": "relu"},
    "tanh-xavier": {"activation": "tanh", "init": "xavier_uniform"},
    # Losses and gradients that are not finite, from the first step on.
    "overflow": {"activation": "relu", "init": "normal", "std": 1e6, "depth": 8},
}


def measure() -> Figures:
    """Run the closing stages on studies of more and more variants."""
    rows = growth()
    return Figures(summarise(rows), {"load": rows})


def growth() -> list[Row]:
    """Measure each of STAGES for each of VARIANTS."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as parent:
        trained = Path(parent) / "trained"
        content = _train(trained)
        for count in tqdm(VARIANTS, desc="load", unit="study", disable=None):
            folder = Path(parent) / str(count)
            folder.mkdir()
            study.link_code(folder)
            multiply(trained, folder, content, count)
            rows.append({"variants": count, "epochs": EPOCHS, **_close(folder)})
            shutil.rmtree(folder)
    return rows


def summarise(rows: list[Row]) -> list[Result]:
    """Return the largest memory, and how time grows between the two largest studies."""
    *_, half, whole = rows
    count = whole["variants"]
    memory = {stage: whole[f"{stage}, GiB"] for stage in STAGES}
    largest = max(memory, key=memory.__getitem__)
    half_s, whole_s = (sum(row[f"{stage}, s"] for stage in STAGES) for row in (half, whole))
    what = f"{', '.join(STAGES)} of {count} variants of {EPOCHS} epochs"
    return [
        Result(
            f"{what}: the largest peak memory",
            memory[largest],
            f"<= {LIMIT_GIB}",
            "<= 0.5",
            "GiB",
            f"of {largest}, libraries included",
        ),
        Result(
            f"{what}: time per variant over that of {half['variants']} variants",
            whole_s / half_s * half["variants"] / count,
            "<= 1.1",
            "<= 1",
            "×",
            f"{whole_s:.0f} s over {half_s:.0f} s",
        ),
    ]


def _train(folder: Path) -> dict[str, Any]:
    """Make a study of a few variants up to `initialise`; return the content of params.yaml."""
    content = study.small_params(
        _TRAINED, epochs=EPOCHS, snapshots=[0, 1, "last"], trace_every=50, seeds=[SEED]
    )
    folder.mkdir()
    study.lay_out(folder, content)
    study.run_stage(folder, "download")
    for name in _TRAINED:
        study.run_stage(folder, "train", name, str(SEED))
        study.run_stage(folder, "extract", name, str(SEED))
        study.run_stage(folder, "initialise", name)
    return content


def _close(folder: Path) -> Row:
    """Run STAGES; return the seconds and the peak memory of each."""
    row: Row = {}
    for stage in STAGES:
        if stage == "track":
            write_lock(folder, SEED)
        row |= _run(folder, stage)
    return row | {"report, kB": (folder / REPORT).stat().st_size / 1e3}


def _run(folder: Path, stage: str) -> Row:
    printed: list[str] = []

    def work() -> None:
        printed.append(run_python("-m", "benchmarks.peak", stage, cwd=folder, **study.ENVIRONMENT))

    wall_s = seconds(work)
    peak = json.loads(printed[0].splitlines()[-1])["peak"]
    return {f"{stage}, s": wall_s, f"{stage}, GiB": peak / 2**30}
