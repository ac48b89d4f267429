"""A repository with a generated pipeline, to measure DVC and the cluster's driver on."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from vanishing.paths import PIPELINE


@contextmanager
def repository(stages: dict[str, Any]) -> Iterator[Path]:
    """Make a repository with a pipeline and the file `input`, and delete it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        YAML().dump({"stages": stages}, path / PIPELINE)
        (path / "input").write_text("")
        subprocess.run(["git", "init", "-q"], cwd=path, check=True)  # noqa: S607
        for arguments in (["init", "-q"], ["config", "core.analytics", "false"]):
            subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=path, check=True)  # noqa: S603
        yield path
