"""Fetch results from the DVC remote: `python -m tools.pull [--weights]`.

In: dvc.yaml and dvc.lock of every study, and the remote. Out: the run cache, the images and every
table, from which figures and reports are made; with `--weights` also models/, a hundred times as
much, which new statistics are taken from.
"""

import argparse
import subprocess
import sys

from dvc.repo import Repo

from vanishing.errors import StudyError, run_command
from vanishing.paths import MODELS


def main(argv: list[str]) -> None:
    """Fetch the results.

    Raises:
        StudyError: If DVC fails.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.pull", description=__doc__)
    parser.add_argument("--weights", action="store_true", help="fetch models/ too")
    weights = parser.parse_args(argv).weights
    with Repo() as repo:
        if not repo.config["remote"]:
            print("no DVC remote is set up: missing results are computed here (docs/ci.md)")
            return
        outputs = [out for out in repo.index.outs if out.use_cache and out.is_in_repo]
    folders = {MODELS.as_posix()}
    targets = [str(out) for out in outputs if weights or not _is_in(str(out), folders)]
    command = [sys.executable, "-m", "dvc", "pull", "--run-cache", "--allow-missing", *targets]
    if subprocess.run(command, check=False).returncode:
        raise StudyError("dvc pull failed (see above)")
    if not weights:
        print("the tables are in place; weights, which new statistics need: make pull WEIGHTS=1")


def _is_in(output: str, folders: set[str]) -> bool:
    return any(f"/{folder}/" in f"/{output}/" for folder in folders)


if __name__ == "__main__":
    sys.exit(run_command(main))
