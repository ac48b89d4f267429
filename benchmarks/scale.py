"""How cost grows with the network, and files with epochs and layers."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from benchmarks import recording, training
from benchmarks.measuring import command
from benchmarks.recording import Ours, median_step
from tests.support.study import BASELINE, DIGITS, tiny_params, write_params
from vanishing.files import MODELS, STATISTICS
from vanishing.params.load import load
from vanishing.params.study import Study

NETWORKS = [(5, width) for width in (250, 500, 1000, 2000, 4000)]
NETWORKS += [(depth, 1000) for depth in (1, 2, 10, 20, 50)]
GROWTH = [(10, 5), (20, 5), (40, 5), (80, 5), (10, 10), (10, 20), (10, 40)]  # epochs, depth
_REPEATS = 3

Row = dict[str, Any]


def networks() -> list[Row]:
    """Time plain and recording steps over width and depth, beside their arithmetic."""
    settings = load(Study)
    draw = recording.endless(settings)
    rows = []
    for depth, width in tqdm(NETWORKS, desc="scale", unit="network", disable=None):
        ours = Ours(settings, draw, depth, width)
        ours.plain()
        plain, gradients = [], []
        for _ in range(_REPEATS):
            plain.append(median_step(ours.plain))
            gradients.append(median_step(ours.gradients))
        layers = [(784, width)] + [(width, width)] * (depth - 1) + [(width, 10)]
        flop = training.step_flop(layers, settings.train.batch_size)
        seconds = statistics.median(plain)
        rows.append(
            {
                "hidden layers": depth,
                "width": width,
                "parameters, M": sum(i * o + o for i, o in layers) / 1e6,
                "GFLOP per step": flop / 1e9,
                "step, ms": seconds * 1e3,
                "GFLOP/s": flop / seconds / 1e9,
                "recording / plain": statistics.median(
                    g / p for g, p in zip(gradients, plain, strict=True)
                ),
            }
        )
    return rows


def files() -> list[Row]:
    """Weigh the Parquet files of the study as it is, by table."""
    rows: list[Row] = []
    for folder in (MODELS, STATISTICS):
        found: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("*/*.parquet")):
            found.setdefault(path.name, []).append(path)
        rows += [
            {
                "table": name,
                "files": len(paths),
                "rows": sum(pq.read_metadata(path).num_rows for path in paths),
                "kB": sum(path.stat().st_size for path in paths) / 1e3,
            }
            for name, paths in found.items()
        ]
    total = {key: sum(row[key] for row in rows) for key in ("files", "rows", "kB")}
    return [*rows, {"table": "all", **total}]


def growth() -> list[Row]:
    """Weigh what training writes for more epochs and more layers, ten traced steps an epoch."""
    rows = []
    for epochs, depth in tqdm(GROWTH, desc="files", unit="study", disable=None):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            content = tiny_params()
            content["train"] |= {
                "epochs": epochs,
                "snapshots": [0, epochs],
                "batch_size": 20,
                "trace_every": 10,
            }
            content["variants"] = {"tanh": BASELINE | {"activation": "tanh", "depth": depth}}
            write_params(path, content)
            here = {
                "PYTHONPATH": str(Path.cwd()),
                "MNIST_SOURCE": str(DIGITS),
                "LIVE_METRICS": "0",
            }
            command("-m", "stages.download", cwd=path, **here)()
            command("-m", "stages.train", "tanh", cwd=path, **here)()
            found = {p.stem: p.stat().st_size / 1e3 for p in path.glob("models/tanh/*.parquet")}
        sizes = {f"{name}, kB": size for name, size in sorted(found.items())}
        rows.append({"epochs": epochs, "hidden layers": depth, **sizes})
    return rows
