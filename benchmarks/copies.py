"""A study of many variants, made from a study of few: the others are copies."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from benchmarks.study import write_params
from vanishing import paths
from vanishing.pipeline.lock import output_digest

_BY_VARIANT = (paths.MODELS, paths.TRAINING, paths.STATISTICS, paths.INITIALISATION)


def multiply(source: Path, target: Path, content: dict[str, Any], count: int) -> None:
    """Copy a study, and its variants in turn until there are `count`.

    Args:
        source: Its folder, with the results of train, extract and initialise.
        target: The folder of the new study.
        content: Of the params.yaml in `source`.
        count: Number of variants of the new study, at least as many as in `source`.
    """
    trained = list(content["variants"])
    variants = {}
    for index in range(count):
        original = trained[index % len(trained)]
        name = original if index < len(trained) else f"{original}-{index:04d}"
        variants[name] = content["variants"][original]
        if name != original:
            variants[name] = variants[name] | {"compare_to": trained[0]}
        for folder in _BY_VARIANT:
            _copy(source / folder / original, target / folder / name)
    write_params(target, content | {"variants": variants})


def _copy(source: Path, target: Path) -> None:
    """Copy a variant's folder; `target` has the name of the new variant."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(_rename(pq.read_table(path), target.name), copy, compression="zstd")
        elif path.suffix == ".json":
            record = json.loads(path.read_text("utf-8")) | {"variant": target.name}
            copy.write_text(json.dumps(record), "utf-8")
        else:
            _link(path, copy)


def _rename(table: pa.Table, variant: str) -> pa.Table:
    """Replace the column `variant`."""
    index = table.schema.get_field_index("variant")
    names = pa.array([variant] * len(table)).cast(table.schema.field(index).type)
    return table.set_column(index, table.schema.field(index), names)


def _link(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy)
    except OSError:  # a file system without links
        shutil.copyfile(path, copy)


def write_lock(folder: Path, seed: int) -> None:
    """Write the part of dvc.lock that `track` reads, without dependencies.

    Args:
        folder: Of a study with one seed whose stages have run up to `report`.
        seed: The seed.
    """
    outputs = {
        "diagnose": [paths.METRICS, paths.HEALTH, paths.CLAIMS],
        "render": [paths.FIGURES, paths.PLOTS],
        "report": [paths.REPORT],
    }
    for variant in sorted(path.name for path in (folder / paths.INITIALISATION).iterdir()):
        outputs[f"initialise@{variant}"] = [paths.INITIALISATION / variant]
        for stage, parents in {
            "train": (paths.MODELS, paths.TRAINING),
            "extract": (paths.STATISTICS,),
        }.items():
            outputs[f"{stage}@{variant}-{seed}"] = [
                paths.run_folder(parent, variant, seed) for parent in parents
            ]
    stages = {
        stage: {"cmd": f"run {stage}", "outs": [locked_output(folder, path) for path in written]}
        for stage, written in outputs.items()
    }
    YAML().dump({"schema": "2.0", "stages": stages}, folder / paths.LOCK)


def locked_output(folder: Path, name: Path) -> dict[str, Any]:
    """Return the entry of one output in dvc.lock."""
    path = folder / name
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return {"path": str(name), "md5": output_digest(path), "size": size}
