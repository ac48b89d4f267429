"""Which stages run after which edit: real DVC in temporary Git repositories."""

import contextlib
import gzip
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from ray.cluster_utils import Cluster

from tests.support import mlflow_server
from tests.support.dvc_repository import (
    CLOSING,
    PYTHON,
    call,
    clone,
    edit_code,
    edit_text,
    make,
    ran,
    repro,
)
from tests.support.study import BASELINE, DIGITS, tiny_params, write_params
from tools import stale
from vanishing.files import sha256
from vanishing.paths import IDENTITIES
from vanishing.tracking.identity import REPORT

VARIANTS = list(tiny_params()["variants"])
TRAINED = [f"train@{name}-0" for name in VARIANTS]
EXTRACTED = [f"extract@{name}-0" for name in VARIANTS]
INITIALISED = [f"initialise@{name}" for name in VARIANTS]
MEASURED = [*TRAINED, *EXTRACTED, *INITIALISED]
OF_RELU = ["train@relu-0", "extract@relu-0", "initialise@relu"]
Change = Callable[[dict[str, Any]], object]


def changed_params(change: Change) -> dict[str, Any]:
    """Return the tiny parameters, changed."""
    content = tiny_params()
    change(content)
    return content


def set_width(content: dict[str, Any]) -> None:
    """Change the network of one variant."""
    content["variants"]["relu"]["width"] = 12


def set_momentum(content: dict[str, Any]) -> None:
    """Change how all networks are trained."""
    content["train"]["momentum"] = 0.5


def set_threshold(content: dict[str, Any]) -> None:
    """Change a health rule."""
    content["diagnose"]["vanishing_attenuation"]["below"] = 0.5


def set_expectation(content: dict[str, Any]) -> None:
    """Expect something of one variant."""
    content["expect"] = {"relu": {"exploding_tensor": False}}


def add_variant(content: dict[str, Any]) -> None:
    """Add a variant."""
    content["variants"]["tanh"] = BASELINE | {"activation": "tanh", "compare_to": "sigmoid"}


def remove_variant(content: dict[str, Any]) -> None:
    """Remove a variant."""
    del content["variants"]["relu"]


def set_seeds(*seeds: int) -> Change:
    """Return the change of the seeds."""
    return lambda content: content["train"].update(seeds=list(seeds))


@contextlib.contextmanager
def reverted(path: Path) -> Iterator[Path]:
    """Put a file's content back at the end."""
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


def add_entry(registry: str) -> Callable[[Path], None]:
    """Return an edit that adds an entry to a registry."""

    def edit(path: Path) -> None:
        text = path.read_text()
        entry = re.search(rf"^{registry}.* = {{\n(    \"[a-z]+\")(.*)$", text, re.MULTILINE)
        assert entry
        path.write_text(text.replace(entry[0], f"{entry[0]}\n    \"unused\"{entry[2]}", 1))

    return edit
