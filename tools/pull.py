"""Fetch results from the DVC remote: `python -m tools.pull [--weights]`.

In: dvc.yaml and dvc.lock of every study, and the remote. Out: the run cache, the images and every
table. Figures and reports need no more. `--weights` adds models/, a hundred times as much, from
which new statistics are taken.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo

from cluster.sharing import try_remote
from vanishing.errors import StudyError, run_command
from vanishing.paths import MODELS


def main(argv: list[str]) -> None:
    """Fetch the results.

    Raises:
        StudyError: If the remote cannot be read, or DVC fails.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.pull", description=__doc__)
    parser.add_argument("--weights", action="store_true", help="fetch models/ too")
    weights = parser.parse_args(argv).weights
    with Repo() as repo:
        if not repo.config["remote"]:
            print("no DVC remote is set up: missing results are computed here (docs/ci.md)")
            return
        try_remote(repo, to_write=False)
        outs = choose_outputs(repo, weights)
        command = [sys.executable, "-m", "dvc", "pull", "--run-cache", "--allow-missing"]
        if subprocess.run([*command, *map(str, outs)], check=False).returncode:
            raise StudyError(
                "dvc pull failed (see above); if the remote has lost files, docs/ci.md says what"
                " mends it"
            )
        missing = sum(bool(out.status()) for out in outs)
    if missing:
        print(
            f"{missing} of {len(outs)} outputs are not in the DVC remote: make repro computes them,"
            " or make push sends them from where they are"
        )
    elif not weights:
        print("the tables are in place; new statistics also need the weights: make pull WEIGHTS=1")


def choose_outputs(repo: Repo, weights: bool) -> list[Output]:
    """Return the outputs of every study that DVC keeps.

    Args:
        repo: The repository.
        weights: Whether outputs in a study's models/ are among them.
    """
    return [
        out
        for out in repo.index.outs
        if out.use_cache
        and out.is_in_repo
        and (weights or MODELS not in Path(out.def_path).parents)
    ]


if __name__ == "__main__":
    sys.exit(run_command(main))
