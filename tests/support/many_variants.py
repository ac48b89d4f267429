"""A study of many variants, made of one of few: each is a copy of one that was trained."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.study import write_params
from vanishing.files import MODELS, STATISTICS


def multiply(folder: Path, content: dict[str, Any], count: int) -> list[str]:
    """Copy the variants of a study, in turn, until there are `count`; write its params.yaml.

    Args:
        folder: Where the study is: models/ and data/statistics/ of each of its variants.
        content: Of its params.yaml.
        count: Of variants.

    Returns:
        Their names, the first ones those that were trained.
    """
    trained = list(content["variants"])
    names = list(trained)
    for index in range(len(trained), count):
        source = trained[index % len(trained)]
        name = f"{source}-{index:04d}"
        for parent in (MODELS, STATISTICS):
            _copy(folder / parent / source, folder / parent / name)
        content["variants"][name] = content["variants"][source] | {"compare_to": trained[0]}
        names.append(name)
    write_params(folder, content)
    return names


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(_renamed(pq.read_table(path), target.name), copy, compression="zstd")
        elif path.name == "run.json":
            description = json.loads(path.read_text()) | {"variant": target.name}
            copy.write_text(json.dumps(description))
        else:
            try:
                os.link(path, copy)
            except OSError:  # no links here
                shutil.copyfile(path, copy)


def _renamed(table: pa.Table, variant: str) -> pa.Table:
    """Put another name into the column `variant`."""
    place = table.schema.get_field_index("variant")
    names = pa.array([variant] * len(table)).cast(table.schema.field(place).type)
    return table.set_column(place, table.schema.field(place), names)
