"""Run what is out of date side by side, then `dvc repro`: `python -m cluster --jobs N`.

In: a workspace with a dvc.yaml. Out: the same as `dvc repro`, with a line per stage while it runs,
and each stage's log in .dvc/tmp/cluster/. `--address A` takes a Ray cluster in place of it.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cluster import plan, worker, workspace
from cluster.plan import Step
from cluster.worker import Outcome
from stages.core.errors import StudyError, run_command

LOGS = Path(".dvc/tmp/cluster")


def main(argv: list[str]) -> None:
    """Run the pipeline of the working directory.

    Raises:
        StudyError: If something is amiss before work begins, or a stage failed.
    """
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    where.add_argument("--address", help="of a Ray cluster: auto, HOST:6379 or ray://HOST:10001")
    options = parser.parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        raise StudyError(f"--jobs should be 1 or more; given {options.jobs}")
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOGS / "lock", timeout=0):
            _run(options)
    except Timeout:
        raise StudyError(f"{Path.cwd()}: another run of the pipeline is at work here") from None


def _run(options: argparse.Namespace) -> None:
    root = Path.cwd()
    steps = plan.plan(root)
    todo = [step for step in steps if step.stale and not step.local]
    sharing = workspace.sharing(root, several_machines=options.address is not None)
    failed: list[str] = []
    if todo:
        import ray  # noqa: PLC0415 - a second, and an extra

        cpus = _connect(ray, options)
        try:
            outcomes = Driver(ray, todo, workspace.pack(root), sharing, cpus).run()
        finally:
            ray.shutdown()
        failed = [name for name, outcome in outcomes.items() if outcome.state == "failed"]
    arguments = ["repro", *(["--pull"] if sharing.remote else [])]
    if failed:
        succeeded = [n for n, o in outcomes.items() if o.state != "failed"]
        if succeeded:
            _dvc(*arguments, "--single-item", *succeeded)
        raise StudyError("\n".join(f"{name} failed; its log is {_log(name)}" for name in failed))
    if _dvc(*arguments):
        raise StudyError("dvc repro failed (see above)")


def _dvc(*arguments: str) -> int:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - stages of this dvc.yaml


def _connect(ray: Any, options: argparse.Namespace) -> float:
    """Start Ray here, or join the cluster; return how many CPUs a stage gets.

    Ray gives a task as many threads as it has CPUs: side by side, stages share the cores.

    Returns:
        CPUs per stage.

    Raises:
        StudyError: If there is no cluster at the address.
    """
    if options.jobs:
        cores = os.cpu_count() or 1
        each: float = cores // options.jobs or cores / options.jobs
        ray.init(
            num_cpus=max(1, round(each * options.jobs)),
            log_to_driver=False,
            logging_level="error",
            include_dashboard=False,
        )
        return each
    try:
        ray.init(options.address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"no Ray cluster at {options.address}: {reason}") from None
    return 1


def _log(address: str) -> Path:
    return LOGS / f"{address.replace('/', '_').replace(':', '_')}.log"


class Driver:
    """Gives Ray each stage as soon as those that it depends on are done."""

    def __init__(
        self,
        ray: Any,
        todo: list[Step],
        archive: bytes,
        sharing: workspace.Sharing,
        cpus: float,
    ) -> None:
        self._cpus = cpus
        self._ray = ray
        self._todo = {step.address: step for step in todo}
        self._archive = ray.put(archive)
        self._sharing = sharing
        self._outcomes: dict[str, Outcome] = {}
        self._running: dict[Any, str] = {}
        self._begun = time.monotonic()

    def run(self) -> dict[str, Outcome]:
        """Run all stages but those that depend on one that failed.

        Returns:
            {address: how it ended}.
        """
        self._compare_versions()
        for address in self._todo:
            self._say(address, "queued")
        self._submit()
        while self._running:
            (reference,), _ = self._ray.wait(list(self._running), num_returns=1)
            self._end(self._running.pop(reference), self._get(reference))
            self._submit()
        return self._outcomes

    def _submit(self) -> None:
        execute = self._ray.remote(worker.execute)
        for address, step in self._todo.items():
            needs = [name for name in step.upstream if name in self._todo]
            ended = [self._outcomes.get(name) for name in needs]
            waiting = address not in self._outcomes and address not in self._running.values()
            if not waiting or not all(ended):
                continue
            if any(each.state == "failed" for each in ended if each):
                continue
            entries = {name: each.entry for name, each in self._outcomes.items() if each.entry}
            options = {"num_cpus": self._cpus, "max_retries": 3, "scheduling_strategy": "SPREAD"}
            task = execute.options(**{**options, **step.options})
            reference = task.remote(address, self._archive, self._sharing, entries)
            self._running[reference] = address
            self._say(address, "running")

    def _get(self, reference: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # a worker died more often than it may
            reason = str(error).strip().splitlines()[0]
            return Outcome("failed", 0.0, "", f"{type(error).__name__}: {reason}\n", {})
        return outcome

    def _end(self, address: str, outcome: Outcome) -> None:
        self._outcomes[address] = outcome
        _log(address).write_text(outcome.log, encoding="utf-8")
        self._say(address, outcome.state, f"in {outcome.seconds:.1f} s on {outcome.host}")
        if outcome.state == "failed":
            print(outcome.log, file=sys.stderr, flush=True)

    def _say(self, address: str, state: str, more: str = "") -> None:
        elapsed = time.monotonic() - self._begun
        count = f"{len(self._outcomes)}/{len(self._todo)}"
        print(f"{elapsed:8.1f} s  {count:>9}  {state:8} {address:30} {more}".rstrip(), flush=True)

    def _compare_versions(self) -> None:
        """Refuse a machine whose packages are not the driver's.

        Raises:
            StudyError: If a version differs, with the machine's and the package's name.
        """
        mine = worker.versions()
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        ask = self._ray.remote(worker.versions)
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            there = strategy(node["NodeID"], soft=False)
            theirs = self._ray.get(ask.options(scheduling_strategy=there, num_cpus=0).remote())
            wrong = [
                f"{name} is {theirs.get(name, 'missing')} on {node['NodeManagerHostname']} and"
                f" {version} here"
                for name, version in sorted(mine.items())
                if theirs.get(name) != version
            ]
            if wrong:
                raise StudyError("\n".join(wrong))


if __name__ == "__main__":
    sys.exit(run_command(main))
