"""Run the stages that are out of date side by side, then `dvc repro`: `python -m cluster --jobs N`.

In: a DVC repository, whose root is the working directory, and the dvc.yaml that `--pipeline` names.
Out: the same files as of `dvc repro`, a line per change of a stage's state on stdout, and each
stage's log in .dvc/tmp/cluster/. `--address A` uses a Ray cluster in place of this machine.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvc.exceptions import DvcException, PrettyDvcException
from dvc.lock import LockError
from filelock import FileLock, Timeout

from cluster import connection, plan, results, worker, workspace
from cluster.driver import LOGS, Driver, log
from cluster.plan import Entry, Step
from cluster.sharing import Sharing, find_sharing
from cluster.worker import Job, Outcome
from vanishing.errors import StudyError, in_one_line, run_command

DVC_SECRETS = ".dvc/config.local"  # Git ignores it, but it may have the remote's credentials


def main(argv: list[str]) -> None:
    """Run the pipeline.

    Raises:
        StudyError: If a precondition does not hold, a stage failed, or the user interrupted.
    """
    options = _parse(argv)
    root = Path.cwd()
    for name in (".dvc", options.pipeline):
        if not Path(name).exists():
            raise StudyError(f"{root}: no {name} here; run from a DVC repository's root")
    LOGS.mkdir(parents=True, exist_ok=True)
    os.environ.update({**worker.DEFAULTS, **os.environ})
    try:
        with FileLock(LOGS / "lock", timeout=0):
            _run(root, options)
    except Timeout:
        raise StudyError(f"{root}: another run of the pipeline is at work here") from None
    except KeyboardInterrupt:
        raise StudyError("interrupted; stages that were done are not run again") from None
    except DvcException as error:
        hint = "; `dvc status` says where" if isinstance(error, PrettyDvcException) else ""
        raise StudyError(f"{in_one_line(error)}{hint}") from None


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    machines = parser.add_mutually_exclusive_group(required=True)
    machines.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    machines.add_argument("--address", help="of a Ray cluster: auto, HOST:6379 or ray://HOST:10001")
    parser.add_argument(
        "--pipeline",
        default="dvc.yaml",
        metavar="PATH",
        type=os.path.normpath,
        help="the dvc.yaml to run, with the stages that it depends on",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment variable of this process that stages on the cluster get too",
    )
    options = parser.parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        raise StudyError(f"--jobs should be 1 or more; given {options.jobs}")
    return options


def _run(root: Path, options: argparse.Namespace) -> None:
    steps = plan.plan(root, options.pipeline)
    sharing = find_sharing(root, several_machines=options.address is not None)
    outcomes = {}
    if any(step.due for step in steps):
        outcomes = _run_due(root, steps, sharing, options)
        _restore(root, outcomes, sharing)
    targets = _targets(steps, outcomes, options.pipeline)
    closing_failed = bool(targets) and _dvc_repro(targets, pull=bool(sharing.remote))
    failed = [address for address, outcome in outcomes.items() if outcome.state == "failed"]
    if failed:
        raise StudyError("\n".join(f"{name} failed; its log is {log(name)}" for name in failed))
    if closing_failed:
        raise StudyError("dvc repro failed (see above)")


def _run_due(
    root: Path, steps: Sequence[Step], sharing: Sharing, options: argparse.Namespace
) -> dict[str, Outcome]:
    """Run the due stages with Ray; return {address: outcome} of those that were started."""
    ray = connection.import_ray()
    cpus = connection.connect(ray, options.jobs, options.address)
    try:
        archive = workspace.pack(root, workspace.sources(root) | {DVC_SECRETS})
        variables = {name: os.environ[name] for name in options.env if name in os.environ}
        return Driver(ray, steps, Job(archive, sharing, variables), cpus).run()
    finally:
        ray.shutdown()


def _restore(root: Path, outcomes: Mapping[str, Outcome], sharing: Sharing) -> None:
    """Put the results into the workspace and dvc.lock."""
    entries: dict[str, Entry] = {
        address: outcome.entry
        for address, outcome in outcomes.items()
        if outcome.state in {"done", "cached"}
    }
    try:
        results.restore(root, entries, pull=bool(sharing.remote))
    except Exception as error:
        if not sharing.remote or isinstance(error, LockError):
            raise
        raise StudyError(
            f"the DVC remote {sharing.remote['name']} was there and is no longer:"
            f" {in_one_line(error)}; stages that were done are not run again"
        ) from None


def _targets(steps: Sequence[Step], outcomes: Mapping[str, Outcome], pipeline: str) -> list[str]:
    """Return the targets of the closing `dvc repro`.

    Returns:
        The pipeline; if a stage failed, the stages that do not depend on a failed one.
    """
    blocked: set[str] = set()
    for step in steps:  # a stage comes after those that it depends on
        failed = step.due and not (step.address in outcomes and outcomes[step.address].entry)
        if failed or not blocked.isdisjoint(step.upstream):
            blocked.add(step.address)
    if not blocked:
        return [pipeline]
    return [step.address for step in steps if step.address not in blocked]


def _dvc_repro(targets: list[str], pull: bool) -> bool:
    """Run `dvc repro`; return whether it failed."""
    command = [sys.executable, "-m", "dvc", "repro", *(["--pull"] if pull else []), *targets]
    return subprocess.run(command, check=False).returncode != 0  # noqa: S603 - stages of dvc.yaml


if __name__ == "__main__":
    sys.exit(run_command(main))
