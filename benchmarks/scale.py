"""How cost grows with the network, and files with epochs and layers."""

import statistics
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from tqdm import tqdm

from benchmarks.measuring import Figures, Row
from benchmarks.recording import DrawBatch, OurSteps, endless_batches, median_step_s
from benchmarks.study import lay_out, run_stage, small_params
from benchmarks.training import VARIANT, layer_shapes, step_flop
from vanishing.params.load import load
from vanishing.params.study import Study, Variant
from vanishing.paths import TABLES_BY_SEED, TABLES_BY_VARIANT, TRAINING, run_folder

NETWORKS = [(5, width) for width in (250, 500, 1000, 2000, 4000)]  # depth, width
NETWORKS += [(depth, 1000) for depth in (1, 2, 10, 20, 50)]
GROWTH = [(10, 5), (20, 5), (40, 5), (80, 5), (10, 10), (10, 20), (10, 40)]  # epochs, depth
_REPEATS = 3


def measure() -> Figures:
    """Measure steps and files."""
    return Figures([], {"networks": networks(), "files": file_sizes(), "growth": growth()})


def networks() -> list[Row]:
    """Time plain and recording steps over width and depth, beside their arithmetic."""
    study = load(Study)
    draw = endless_batches(study)
    variant = study.perceptrons[VARIANT]
    return [
        _step_costs(study, variant.model_copy(update={"depth": depth, "width": width}), draw)
        for depth, width in tqdm(NETWORKS, desc="scale", unit="network", disable=None)
    ]


def _step_costs(study: Study, variant: Variant, draw: DrawBatch) -> Row:
    ours = OurSteps(study, variant, draw)
    ours.plain()
    plain, gradients = [], []
    for _ in range(_REPEATS):
        plain.append(median_step_s(ours.plain))
        gradients.append(median_step_s(ours.gradients))
    flop = step_flop(layer_shapes(ours.network), study.train.batch_size)
    step_s = statistics.median(plain)
    return {
        "hidden layers": variant.depth,
        "width": variant.width,
        "parameters, M": sum(p.numel() for p in ours.network.parameters()) / 1e6,
        "GFLOP per step": flop / 1e9,
        "step, ms": step_s * 1e3,
        "GFLOP/s": flop / step_s / 1e9,
        "recording / plain": statistics.median(
            gradients_s / plain_s for gradients_s, plain_s in zip(gradients, plain, strict=True)
        ),
    }


def file_sizes() -> list[Row]:
    """Return the sizes of the study's Parquet files, by table."""
    rows: list[Row] = []
    for table, folder in {**TABLES_BY_SEED, **TABLES_BY_VARIANT}.items():
        files = sorted(folder.rglob(f"{table}.parquet"))
        rows.append(
            {
                "table": table,
                "files": len(files),
                "rows": sum(pq.read_metadata(file).num_rows for file in files),
                "kB": sum(file.stat().st_size for file in files) / 1e3,
            }
        )
    total = {key: sum(row[key] for row in rows) for key in ("files", "rows", "kB")}
    return [*rows, {"table": "all", **total}]


def growth() -> list[Row]:
    """Return the sizes of a training's tables for more epochs and layers, ten traced steps each."""
    return [
        _training_sizes(epochs, depth)
        for epochs, depth in tqdm(GROWTH, desc="files", unit="study", disable=None)
    ]


def _training_sizes(epochs: int, depth: int) -> Row:
    variant, seed = "tanh", 0
    content = small_params(
        {variant: {"activation": "tanh", "depth": depth}},
        epochs=epochs,
        snapshots=[0, "last"],
        batch_size=20,
        trace_every=10,
        seeds=[seed],
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, content)
        run_stage(folder, "download")
        run_stage(folder, "train", variant, str(seed))
        files = sorted((folder / run_folder(TRAINING, variant, seed)).glob("*.parquet"))
        sizes = {f"{file.stem}, kB": file.stat().st_size / 1e3 for file in files}
    return {"epochs": epochs, "hidden layers": depth, **sizes}
