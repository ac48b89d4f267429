"""Run what is out of date side by side, then `dvc repro`: `python -m cluster --jobs N`.

In: a workspace with a dvc.yaml. Out: the same as `dvc repro`, with a line per stage while it runs,
and each stage's log in .dvc/tmp/cluster/. `--address A` takes a Ray cluster in place of this
machine.
"""

import argparse
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dvc.exceptions import DvcException, PrettyDvcException
from dvc.lock import LockError
from dvc.repo import Repo
from filelock import FileLock, Timeout

from cluster import plan, results, workspace
from cluster.driver import LOGS, Driver, log
from cluster.plan import Entry
from cluster.worker import Job
from cluster.workspace import Sharing
from vanishing.errors import StudyError, run_command

PATIENCE_S = 10.0  # the longest to wait for a cluster to answer


def main(argv: list[str]) -> None:
    """Run the pipeline of the working directory.

    Raises:
        StudyError: If something is amiss before work begins, or a stage failed.
    """
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    where.add_argument("--address", help="of a Ray cluster: auto, HOST:6379 or ray://HOST:10001")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment variable that stages on the cluster get from here",
    )
    options = parser.parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        raise StudyError(f"--jobs should be 1 or more; given {options.jobs}")
    for name in (".dvc", "dvc.yaml"):
        if not Path(name).exists():
            raise StudyError(f"{Path.cwd()}: no {name} here; run from a DVC repository's root")
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOGS / "lock", timeout=0):
            _run(options)
    except Timeout:
        raise StudyError(f"{Path.cwd()}: another run of the pipeline is at work here") from None
    except KeyboardInterrupt:
        raise StudyError("interrupted; stages that were done are not run again") from None
    except DvcException as error:
        more = "; `dvc status` says where" if isinstance(error, PrettyDvcException) else ""
        raise StudyError(f"{_reason(error)}{more}") from None


def _run(options: argparse.Namespace) -> None:
    root = Path.cwd()
    steps = plan.plan(root)
    todo = [step for step in steps if step.due]
    sharing = _sharing(root, several_machines=options.address is not None)
    blocked: set[str] = set()
    failed: list[str] = []
    if todo:
        ray = _ray()
        cpus = _connect(ray, options)
        try:
            archive = workspace.pack(root, workspace.sources(root))
            variables = {name: os.environ[name] for name in options.env if name in os.environ}
            job = Job(archive, sharing, variables)
            outcomes = Driver(ray, steps, job, cpus).run()
        finally:
            ray.shutdown()
        entries = {name: each.entry for name, each in outcomes.items() if each.entry}
        _take(root, entries, sharing)
        failed = [name for name, each in outcomes.items() if each.state == "failed"]
        blocked = {step.address for step in todo} - set(entries)
    for step in steps:  # each after those that it depends on
        if not blocked.isdisjoint(step.upstream):
            blocked.add(step.address)
    targets = [step.address for step in steps if step.address not in blocked] if blocked else []
    wrong = not (blocked and not targets) and _dvc_repro(targets, pull=bool(sharing.remote))
    if failed:
        raise StudyError("\n".join(f"{name} failed; its log is {log(name)}" for name in failed))
    if wrong:
        raise StudyError("dvc repro failed (see above)")


def _take(root: Path, entries: Mapping[str, Entry], sharing: Sharing) -> None:
    try:
        results.take(root, entries, pull=bool(sharing.remote))
    except Exception as error:
        if not sharing.remote or isinstance(error, LockError):
            raise
        raise StudyError(
            f"the DVC remote {sharing.remote['name']} was there and is no longer: {_reason(error)};"
            " stages that were done are not run again"
        ) from None


def _reason(error: Exception) -> str:
    """Say in one line what an error says in several."""
    return " ".join(str(error).split())


def _dvc_repro(targets: list[str], pull: bool) -> int:
    command = [sys.executable, "-m", "dvc", "repro", *(["--pull"] if pull else []), *targets]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - stages of this dvc.yaml


def _sharing(root: Path, several_machines: bool) -> Sharing:
    """Find out how results can travel, and that they can, before any work begins.

    Returns:
        How.

    Raises:
        StudyError: If there is no remote, or it cannot be reached.
    """
    with Repo(str(root)) as repo:
        if not several_machines:
            return Sharing(repo.cache.legacy.path, {})
        name = repo.config["core"].get("remote")
        if not name:
            raise StudyError(
                "a cluster needs a DVC remote that all its machines reach, and none is set up:"
                " dvc remote add --default NAME URL (docs/scale.md)"
            )
        settings = dict(repo.config["remote"][name])
        try:
            odb = repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix")
            odb.fs.makedirs(odb.path, exist_ok=True)
            # Written, since of a bucket that is still empty, and of none, a listing says the same.
            probe = odb.fs.join(odb.path, f".cluster-{uuid.uuid4().hex}")
            odb.fs.pipe_file(probe, b"")
            with suppress(Exception):  # who may write need not be allowed to delete
                odb.fs.remove(probe)
        except Exception as error:  # noqa: BLE001 - each file system has its own
            raise StudyError(
                f"the DVC remote {name} ({settings['url']}) cannot be reached: {_reason(error)}"
            ) from None
        return Sharing("", {"name": name, "settings": settings})


def _ray() -> Any:
    """Import Ray, which takes a second and is an extra.

    Returns:
        The module.

    Raises:
        StudyError: If it is not installed.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its default, without a word
    try:
        import ray  # noqa: PLC0415
    except ModuleNotFoundError:
        raise StudyError(
            "Ray is not installed: `make setup`, or the extra `cluster` of pyproject.toml"
        ) from None
    return ray


def _connect(ray: Any, options: argparse.Namespace) -> float:
    """Start Ray here, or join the cluster; return how many CPUs a stage gets.

    Ray gives a task as many threads as it has CPUs: side by side, stages share the cores.

    Returns:
        CPUs per stage.

    Raises:
        StudyError: If there is no cluster at the address.
    """
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if options.jobs:
        cores = os.cpu_count() or 1
        each: float = cores // options.jobs or cores / options.jobs
        cpus = max(1, round(each * options.jobs))
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        return each
    here = Path(__file__).parent.parent
    modules = [
        str(here / name) for name in ("cluster", "stages", "vanishing")
    ]  # what a worker imports of ours
    try:
        _knock(options.address)
        ray.init(options.address, runtime_env={"py_modules": modules}, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise StudyError(f"no Ray cluster at {options.address}: {_reason(error)}") from None
    return 1


def _knock(address: str) -> None:
    """Try whether anything listens: Ray would wait for it without end."""
    found = urlsplit(address if "//" in address else f"//{address}")
    if found.port:
        socket.create_connection((found.hostname or "", found.port), PATIENCE_S).close()


if __name__ == "__main__":
    sys.exit(run_command(main))
