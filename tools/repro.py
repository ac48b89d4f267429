"""Reproduce a study: `python -m tools.repro`; `make repro` calls it in the study's folder.

In: params.yaml, dvc.yaml, dvc.lock and the code. Out: first the number of stages to run and an
estimate of the time on this machine, then a line per stage, then the closing table. DVC runs the
stages; with `--jobs` or `--address` they run side by side (`cluster`).
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tools import estimate, recover, stale, summary
from tools.progress import ErrorOutput, Progress, duration
from tools.stale import Status
from vanishing.errors import StudyError, run_command
from vanishing.params.comparisons import warn_of_impure
from vanishing.params.diagnose import Judged, Params
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import FINGERPRINTS, IDENTITIES, MODELS, PIPELINE, RAW, variant_fingerprint
from vanishing.pipeline.fingerprint import fingerprints
from vanishing.pipeline.folders import check_folders
from vanishing.pipeline.leftovers import remove_leftovers
from vanishing.results import recorded
from vanishing.tracking.identity import store_address

_ENDING_S = 10.0  # the longest that DVC or `cluster` may take to end after Ctrl-C


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
    check_folders()
    recorded.check(params)
    recover.main([])
    remove_leftovers(params.variants, params.train.seeds)
    if changed_recordings(params):  # which DVC does not see: it watches none of their folders
        run_dvc(["--force", "--single-item", stale.FINGERPRINT], 1)
    status = stale.dvc_status(targets)
    outdated = stale.stale_stages(status)
    without_weights = not targets and needs_no_weights(status, outdated)
    due = stages_due(status, outdated, targets, without_weights)
    print(announce(due, estimate.seconds(params, due)), flush=True)
    if stale.VALIDATE not in due:  # which says it too
        warn_of_impure(params)
    ran: Collection[str] = ()
    if due and not targets and (arguments.jobs or arguments.address):
        ran = run_cluster(params, arguments.jobs, arguments.address)
    elif due:
        options = ["--allow-missing"] if without_weights else []
        ran = run_dvc([*options, *(targets or [str(PIPELINE)])], len(due))
    if not targets and "track" not in ran:  # MLflow's store may be another one, or gone
        _track()
    summary.show(stale.stale_stages(stale.dvc_status()) if targets else {})


def changed_recordings(study: Judged) -> list[str]:
    """Return the variants that are recorded runs, and whose fingerprints are not those of now."""
    files = {
        variant_fingerprint(name): name for name in study.variants if name not in study.trained
    }
    texts = fingerprints(study, files) if files else {}
    return [
        files[path]
        for path, text in texts.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]


def choose_targets(study: Study, variants: Sequence[str], seeds: Sequence[str]) -> list[str]:
    """Return the stages of the named variants and seeds; none if nothing is named.

    Args:
        study: Its variants and seeds.
        variants: Names; none for all.
        seeds: Numbers; none for all.
    """
    if not variants and not seeds:
        return []
    names = [name for name in variants if study.variant(name)] or list(study.variants)
    numbers = [study.seed(text) for text in seeds] or study.train.seeds
    runs = [f"{name}-{seed}" for name in names for seed in numbers]
    return [
        *(f"train@{run}" for run in runs),
        *(f"extract@{run}" for run in runs),
        *(f"initialise@{name}" for name in names),
    ]


def stages_due(
    status: Status, outdated: Collection[str], targets: Collection[str], without_weights: bool
) -> list[str]:
    """Return the stages that DVC is going to run or restore, in the order of dvc.yaml.

    Args:
        status: Of the targets and all that they depend on.
        outdated: The stale stages.
        targets: Stages; none for all.
        without_weights: As `needs_no_weights` returns it.
    """
    due = {stage for stage in outdated if not targets or stage in targets}
    if not without_weights:
        due |= set(status)
    elif stale.FINGERPRINT in status:
        due.add(stale.FINGERPRINT)
    return [stage for stage in stale.pipeline_stages() if stage in due]


def needs_no_weights(status: Status, outdated: Collection[str]) -> bool:
    """Tell whether only weights and images are missing here that no stale stage reads.

    Then the stages that write them are left alone. A clone that has fetched the tables redraws its
    figures, and trains a new variant, without training all the others for their weights.

    Args:
        status: As `stale.dvc_status` returns it, of all stages.
        outdated: The stale stages.

    Returns:
        Whether something is missing, and none of it is needed.
    """
    missing: set[Path] = set()  # outputs of stages that are up to date
    written: set[Path] = set()  # outputs of stale stages
    read: set[Path] = set()  # missing inputs of stale stages
    for stage in status:
        outs = _missing(status, stage, "changed outs")
        if stage in outdated:
            written |= outs
            read |= _missing(status, stage, "changed deps")
        else:
            missing |= outs
    missing.discard(IDENTITIES)  # `track` writes it again
    read = {path for path in read if FINGERPRINTS not in path.parents}  # and `fingerprint` these
    spared = all(path == RAW or MODELS in path.parents for path in missing)
    return bool(missing) and spared and read <= written


def _missing(status: Status, stage: str, kind: str) -> set[Path]:
    """Return the missing files of a stage.

    Args:
        status: As `stale.dvc_status` returns it.
        stage: A key of it.
        kind: "changed deps" or "changed outs".
    """
    return {
        Path(path)
        for changes in status[stage]
        if isinstance(changes, Mapping)
        for path, change in changes.get(kind, {}).items()
        if isinstance(change, str) and change in stale.MISSING
    }


def announce(due: Sequence[str], seconds: float | None) -> str:
    """Say how many stages of each kind are going to run, and how long they take."""
    if not due:
        return "every stage is up to date"
    kinds = Counter(stage.partition("@")[0] for stage in due)
    counts = ", ".join(f"{kind} × {n}" if n > 1 else kind for kind, n in kinds.items())
    stages = "1 stage" if len(due) == 1 else f"{len(due)} stages"
    time = "" if seconds is None else f", about {duration(seconds)} of work here"
    return f"{stages} to run or restore{time}: {counts}"


def run_dvc(arguments: Sequence[str], expected: int) -> list[str]:
    """Run `dvc repro`.

    Args:
        arguments: Its options and targets.
        expected: How many stages should run or be restored.

    Returns:
        The stages that ran.
    """
    return _run(["dvc", "repro", *arguments], Progress(expected))


def run_cluster(study: Study, jobs: str | None, ray_address: str | None) -> list[str]:
    """Run the stages side by side, on this machine or on a Ray cluster.

    Args:
        study: `root` leads to the root of the repository.
        jobs: Stages at a time, on this machine.
        ray_address: Of a Ray cluster; it goes before `jobs`.

    Returns:
        The stages that ran in this workspace, after all others.
    """
    pipeline = (Path.cwd() / PIPELINE).relative_to(Path(study.root).resolve())
    command = ["cluster", "--pipeline", str(pipeline)]
    variables = {}
    if ray_address:
        command += ["--address", ray_address, "--env", "MLFLOW_TRACKING_URI"]
    else:  # stages run in copies of the workspace, and mirror their runs in its store
        command += ["--jobs", str(jobs)]
        variables["MLFLOW_TRACKING_URI"] = store_address(Path(study.root).resolve())
    return _run(command, Progress(), Path(study.root), variables)


def _run(
    command: Sequence[str],
    progress: Progress,
    folder: Path = Path(),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Run a module of this Python that runs stages, and show its progress.

    Returns:
        The stages that ran.

    Raises:
        StudyError: If it fails.
        KeyboardInterrupt: If the user interrupts; it has ended by then, as it is interrupted too.
        BrokenPipeError: If nobody reads what this process prints; it has been killed by then.
    """
    errors = ErrorOutput()
    with subprocess.Popen(
        [*_ends_with_this_process(), sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=errors.descriptor,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **variables, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            for line in process.stdout:
                progress.read(line.rstrip("\n"))
            process.wait()
        except KeyboardInterrupt:
            errors.silence()
            with suppress(subprocess.TimeoutExpired):  # it puts away its locks
                process.wait(_ENDING_S)
            process.kill()
            raise
        except BrokenPipeError:
            process.kill()
            raise
    errors.close()
    progress.end_stage(failed=process.returncode != 0)
    if process.returncode:
        raise StudyError(f"{command[0]} failed (see above)")
    return progress.stages


@cache
def _ends_with_this_process() -> tuple[str, ...]:
    """Return the start of a command that is killed when this process ends; empty if there is none.

    DVC goes on otherwise when only this process is killed.
    """
    command = ("setpriv", "--pdeathsig", "KILL")
    try:  # that of RHEL 8 lacks the option
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return command


def _track() -> None:
    done = subprocess.run(
        [*_ends_with_this_process(), sys.executable, "-m", "stages", "track"], check=False
    )
    if done.returncode:
        raise StudyError("the results are not mirrored in MLflow (see above)")


if __name__ == "__main__":
    sys.exit(run_command(main))
