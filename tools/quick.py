"""The whole pipeline in a scratch copy, in minutes: `python -m tools.quick [--study STUDY]`.

In: the working tree as it is, edits that are not committed included. Out: .quick/, with a report of
its own: every stage and variant, but one epoch on few images and few fresh initialisations. Nothing
else changes but DVC's cache, which the copy shares.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from cluster.workspace import sources
from tools.commits import git
from vanishing.environment import LIVE_METRICS
from vanishing.errors import StudyError, run_command
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.paths import CLAIMS, PARAMS

SCRATCH = Path(".quick")
_TRAIN_EXAMPLES = 2000
_TEST_EXAMPLES = 1000


def main(argv: list[str]) -> None:
    """Copy the working tree, shorten its params.yaml, reproduce, and say where the report is.

    Raises:
        StudyError: If the pipeline fails in the copy.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.quick", description=__doc__)
    parser.add_argument("--study", type=Path, default=Path(), help="its folder")
    study = parser.parse_args(argv).study
    load(Params, study / PARAMS)
    copy_working_tree(SCRATCH)
    shorten(SCRATCH / study / PARAMS)
    git("init", "--quiet", str(SCRATCH))
    share_cache(SCRATCH)
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    environment[LIVE_METRICS] = "0"  # MLflow's import takes longer than such a training
    command = [sys.executable, "-m", "tools.repro"]
    cores = os.cpu_count() or 1
    if cores > 1:
        command += ["--jobs", str(cores)]
    done = subprocess.run(command, cwd=SCRATCH / study, env=environment, check=False)
    if done.returncode:
        raise StudyError(f"{SCRATCH / study}: the pipeline failed there (see above)")
    print(
        f"\nA quick look, in {SCRATCH / study}: one epoch on {_TRAIN_EXAMPLES:,} images. Its"
        " numbers are not the study's."
    )


def copy_working_tree(destination: Path) -> None:
    """Copy the files that Git tracks and those that it does not ignore, afresh."""
    shutil.rmtree(destination, ignore_errors=True)
    for name in sources(Path()):
        source, target = Path(name), destination / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def share_cache(destination: Path) -> None:
    """Let a copy's cache be a link to the workspace's, wherever it is: nothing runs twice.

    A link, since DVC cannot write a path of other letters than ASCII's into its settings.
    """
    from dvc.repo import Repo  # noqa: PLC0415 - slow, and not needed to refuse a command

    with Repo() as repo:
        cache = Path(repo.cache.legacy.path)
    cache.mkdir(parents=True, exist_ok=True)
    (destination / ".dvc/cache").symlink_to(cache)
    (destination / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", "utf-8")


def shorten(params: Path) -> None:
    """Set one epoch on few images, snapshots before and after it, and few initialisations.

    No study repeats that.
    """
    yaml = YAML()
    content = yaml.load(params)
    content["repeated_by"] = CLAIMS.as_posix()
    content["data"] |= {"train_examples": _TRAIN_EXAMPLES, "test_examples": _TEST_EXAMPLES}
    content["train"] |= {"epochs": 1, "snapshots": [0, "last"], "evaluation_size": _TEST_EXAMPLES}
    content["extract"] |= {"probe_size": 300, "init_probe_size": 100, "init_seeds": 2}
    content["extract"] |= {"sweep_depths": [1, 3, 8], "sweep_seeds": 1}
    for variant in content["variants"].values():
        if "epochs" in variant:
            variant["epochs"] = 1
    yaml.dump(content, params)


if __name__ == "__main__":
    sys.exit(run_command(main))
