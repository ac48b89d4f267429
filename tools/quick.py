"""The whole pipeline in a scratch copy, each variant for one epoch: `python -m tools.quick`.

In: the working tree as it is, edits that are not committed included. Out: .quick/, with a report
of its own; nothing else changes but DVC's cache, which the copy shares.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from tools.summary import summary
from vanishing.errors import StudyError, run_command
from vanishing.params import base as section
from vanishing.params.base import PATH
from vanishing.params.diagnose import Params

SCRATCH = Path(".quick")


def main(_argv: list[str]) -> None:
    """Copy, shorten, reproduce, and say where the report is.

    Raises:
        StudyError: If the pipeline fails in the copy.
    """
    section.load(Params)
    copy_working_tree(SCRATCH)
    shorten(SCRATCH / PATH)
    # The copy has no Git repository; the cache is the workspace's, so that nothing runs twice.
    cache = Path(".dvc/cache").resolve()
    (SCRATCH / ".dvc/config.local").write_text(
        f"[core]\n    no_scm = true\n[cache]\n    dir = {cache}\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=SCRATCH, env=environment, check=False
    )
    if done.returncode:
        raise StudyError(f"{SCRATCH}: dvc repro failed there, see above")
    print(summary(SCRATCH / "reports").replace("make ui", f"cd {SCRATCH} && mlflow ui"))


def copy_working_tree(destination: Path) -> None:
    """Copy what Git tracks and what it does not ignore, afresh."""
    shutil.rmtree(destination, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if Path(name).is_file():
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target)


def shorten(params: Path) -> None:
    """Set one epoch, with snapshots before and after it, and few fresh initialisations."""
    yaml = YAML()
    content = yaml.load(params)
    content["train"] |= {"epochs": 1, "snapshots": [0, 1]}
    content["extract"] |= {"init_seeds": 2, "sweep_depths": [1, 3, 8], "sweep_seeds": 1}
    yaml.dump(content, params)


if __name__ == "__main__":
    sys.exit(run_command(main))
