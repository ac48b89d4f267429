"""Reproduce a study: `python -m tools.repro`; `make repro` calls it in the study's folder.

In: params.yaml, dvc.yaml, dvc.lock and the code. Out: first the number of stages to run and an
estimate of the time on this machine, then a line per stage, then the closing table. DVC runs the
stages; with `--jobs` or `--address` they run side by side (`cluster`).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools import estimate, recover, stale, summary
from vanishing.errors import StudyError, run_command
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import MODELS, PIPELINE, RAW
from vanishing.tracking.identity import store_address

_RUNNING = re.compile(r"Running stage '(?P<stage>[^']+)'")
_CACHED = re.compile(r"Stage '(?P<stage>[^']+)' is cached")
# Lines of DVC that say nothing about results.
_CHATTER = re.compile(
    r"\s*$|> |Stage '.*' didn't change|Updating lock file|Generating lock file|"
    r"To track the changes with git|\s+git add|To enable auto staging|\s+dvc config|Use `dvc push`|"
    r"Data and pipelines are up to date"
)


def main(argv: list[str]) -> None:
    """Reproduce the study in the working directory.

    Raises:
        StudyError: If something is wrong before work begins, or a stage fails.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.repro", description=__doc__)
    parser.add_argument("--variants", default="", help="names, separated by spaces: these alone")
    parser.add_argument("--seeds", default="", help="numbers, separated by spaces: these alone")
    parser.add_argument("--jobs", help="stages at a time, on this machine")
    parser.add_argument("--address", help="of a Ray cluster")
    try:
        reproduce(parser.parse_args(argv))
    except KeyboardInterrupt:
        raise StudyError("interrupted; finished stages are not run again") from None


def reproduce(arguments: argparse.Namespace) -> None:
    """Reproduce the study as the command line says."""
    params = load(Params)
    targets = choose_targets(params, arguments.variants.split(), arguments.seeds.split())
    recover.main([])
    status = stale.dvc_status()
    without_weights = not targets and needs_no_weights(status)
    stages = stages_due(status, without_weights)
    due = [stage for stage in stages if not targets or stage in targets]
    if due:
        print(announce(due, estimate.seconds(params, due)), flush=True)
    ran: list[str] = []
    if due and not targets and (arguments.jobs or arguments.address):
        run_cluster(params, arguments.jobs, arguments.address)
    elif due:
        ran = run_dvc([*targets, *(["--allow-missing"] if without_weights else [])], len(due))
    if not targets and "track" not in ran:  # MLflow's store may be another one, or gone
        _track()
    summary.main([])


def choose_targets(study: Study, variants: list[str], seeds: list[str]) -> list[str]:
    """Return the stages of the variants and seeds that are named; none where none is."""
    if not variants and not seeds:
        return []
    for name in variants:
        study.variant(name)
    runs = [
        f"{name}-{seed}"
        for name in variants or study.variants
        for seed in [study.seed(text) for text in seeds] or study.train.seeds
    ]
    initialised = [f"initialise@{name}" for name in variants or study.variants]
    return [f"extract@{run}" for run in runs] + initialised + [f"train@{run}" for run in runs]


def stages_due(status: dict[str, list[Any]], without_weights: bool) -> list[str]:
    """Return the stages that DVC is going to run or restore.

    Args:
        status: As `stale.dvc_status` returns it.
        without_weights: As `needs_no_weights` returns it.
    """
    due = set(stale.stale_stages(status)) | (set() if without_weights else set(status))
    return [stage for stage in stale.pipeline_stages() if stage in due]


def needs_no_weights(status: dict[str, list[Any]]) -> bool:
    """Tell whether only weights and images are missing here, and no stale stage needs them.

    Then the stages that write them are left alone: a clone that has fetched the tables redraws its
    figures, and does not train for them.

    Args:
        status: As `stale.dvc_status` returns it.

    Returns:
        Whether it is so.
    """
    missing = {
        path
        for entries in status.values()
        for entry in entries
        if isinstance(entry, dict)
        for path, change in entry.get("changed outs", {}).items()
        if change in {"deleted", "not in cache"}
    }
    needed = [stage for stage in stale.stale_stages(status) if "@" in stage]
    left_out = (MODELS, RAW)
    return (
        bool(missing)
        and not needed
        and all(
            any(folder in (Path(path), *Path(path).parents) for folder in left_out)
            for path in missing
        )
    )


def announce(due: Iterable[str], seconds: float) -> str:
    """Say how many stages of each kind are going to run, and how long they take."""
    kinds = Counter(stage.partition("@")[0] for stage in due)
    counts = ", ".join(f"{kind} × {n}" if n > 1 else kind for kind, n in kinds.items())
    return f"{kinds.total()} stages to run or restore, about {duration(seconds)} here: {counts}"


def duration(seconds: float) -> str:
    """Write a duration for people: 8 s, 2 min 5 s, 1 h 12 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def run_dvc(targets: list[str], count: int) -> list[str]:
    """Run `dvc repro`, with a line per stage.

    Args:
        targets: Stages; none for all.
        count: How many stages are expected to run.

    Returns:
        The stages that ran.

    Raises:
        StudyError: If DVC fails.
    """
    command = [sys.executable, "-m", "dvc", "repro", *(targets or [str(PIPELINE)])]
    progress = Progress(count)
    with subprocess.Popen(
        [*_ends_with_me(), *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as dvc:
        assert dvc.stdout is not None  # noqa: S101 - asked for above
        for line in dvc.stdout:
            progress.read(line.rstrip("\n"))
    progress.close(failed=dvc.returncode != 0)
    if dvc.returncode:
        raise StudyError("dvc repro failed (see above)")
    return progress.ran


class Progress:
    """Turns DVC's output into a line per stage: its number, name, duration and last message.

    Attributes:
        ran: The stages that ran.
    """

    def __init__(self, count: int) -> None:
        self.ran: list[str] = []
        self._count = count
        self._shown = 0
        self._stage = ""
        self._message = ""
        self._begun_s = 0.0

    def read(self, line: str) -> None:
        """Read a line of DVC, or of a stage."""
        if match := _RUNNING.match(line):
            self.close()
            self.ran.append(match["stage"])
            self._stage, self._message = match["stage"].rpartition(":")[2], ""
            self._begun_s = time.monotonic()
            if sys.stdout.isatty():
                print(f"{self._number()}  {self._stage} …", end="\r", flush=True)
        elif match := _CACHED.match(line):
            self.close()
            self._shown += 1
            stage = match["stage"].rpartition(":")[2]
            print(f"{self._number(0)}  {stage:32}  restored from DVC's cache", flush=True)
        elif not _CHATTER.match(line):
            self._message = line.strip()
            if not self._stage:
                print(line, flush=True)

    def close(self, failed: bool = False) -> None:
        """Print the line of the stage that ran up to now, if there is one."""
        if not self._stage:
            return
        self._shown += 1
        took = "failed" if failed else duration(time.monotonic() - self._begun_s)
        line = f"{self._number(0)}  {self._stage:32}  {took:>10}  {self._message}"
        print(line.rstrip(), flush=True)
        self._stage = ""

    def _number(self, ahead: int = 1) -> str:
        number, count = self._shown + ahead, max(self._count, self._shown + ahead)
        return f"{number:>{len(str(count))}}/{count}"


def run_cluster(study: Study, jobs: str | None, ray_address: str | None) -> None:
    """Run the stages side by side, on this machine or on a Ray cluster.

    Raises:
        StudyError: If a stage fails.
    """
    pipeline = (Path.cwd() / PIPELINE).relative_to((Path.cwd() / study.root).resolve())
    command = [sys.executable, "-m", "cluster", "--pipeline", str(pipeline)]
    environment = dict(os.environ)
    if ray_address:
        command += ["--address", ray_address, "--env", "MLFLOW_TRACKING_URI"]
    else:  # stages run in copies of the workspace, and mirror their runs in its store
        command += ["--jobs", str(jobs)]
        environment["MLFLOW_TRACKING_URI"] = store_address(Path(study.root).resolve())
    done = subprocess.run(
        [*_ends_with_me(), *command], cwd=study.root, env=environment, check=False
    )
    if done.returncode:
        raise StudyError("the pipeline failed (see above)")


def _ends_with_me() -> list[str]:
    """Return the start of a command that is killed when this process ends; empty where none is."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _track() -> None:
    done = subprocess.run([*_ends_with_me(), sys.executable, "-m", "stages", "track"], check=False)
    if done.returncode:
        raise StudyError("the results are not mirrored in MLflow (see above)")


if __name__ == "__main__":
    sys.exit(run_command(main))
