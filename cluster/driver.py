"""Gives Ray each stage as soon as those that it depends on are done, and says how it goes."""

import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cluster import worker, workspace
from cluster.plan import Step
from cluster.worker import Job, Outcome
from vanishing.errors import StudyError

LOGS = Path(".dvc/tmp/cluster")
TICK_S = 1.0  # how often to look who has begun


def log(address: str) -> Path:
    """Return the path of a stage's log."""
    return LOGS / f"{address.replace('/', '_').replace(':', '_')}.log"


class Driver:
    """One run of what is stale."""

    def __init__(self, ray: Any, steps: Sequence[Step], job: Job, cpus: float) -> None:
        self._ray = ray
        self._locked = {step.address: step.locked for step in steps if step.locked}
        self._todo = {step.address: step for step in steps if step.due}
        self._cpus = cpus
        self._job = ray.put(job)
        self._board = ray.remote(worker.Board).options(num_cpus=0).remote()
        self._outcomes: dict[str, Outcome] = {}
        self._running: dict[Any, str] = {}
        self._begun_s = time.monotonic()

    def run(self) -> dict[str, Outcome]:
        """Run all stages but those that depend on one that failed.

        Returns:
            {address: how it ended}.
        """
        self._compare_versions()
        order = TopologicalSorter(
            {
                name: [other for other in step.upstream if other in self._todo]
                for name, step in self._todo.items()
            }
        )
        order.prepare()
        for address in self._todo:
            self._say(address, "queued")
        for address in order.get_ready():
            self._submit(address)
        while self._running:
            ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=TICK_S)
            for address, host in self._ray.get(self._board.take.remote()):
                self._say(address, "running", f"on {host}")
            for reference in ended:
                address = self._running.pop(reference)
                outcome = self._get(reference)
                self._end(address, outcome)
                if outcome.state != "failed":
                    order.done(address)
            for address in order.get_ready():
                self._submit(address)
        return self._outcomes

    def _submit(self, address: str) -> None:
        step = self._todo[address]
        inputs = {name: self._locked[name] for name in step.upstream if name in self._locked}
        options = {"num_cpus": self._cpus, "max_retries": 3, "scheduling_strategy": "SPREAD"}
        task = self._ray.remote(worker.execute).options(**{**options, **step.options})
        self._running[task.remote(step, self._job, inputs, self._board)] = address

    def _get(self, reference: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # a worker died more often than it may
            reason = str(error).strip().splitlines()[0]
            return Outcome("failed", 0.0, "", f"{type(error).__name__}: {reason}\n", {}, b"")
        return outcome

    def _end(self, address: str, outcome: Outcome) -> None:
        self._outcomes[address] = outcome
        if outcome.entry:
            self._locked[address] = outcome.entry
        if outcome.kept:
            workspace.unpack(outcome.kept, Path())
        log(address).write_text(outcome.log, encoding="utf-8")
        self._say(address, outcome.state, f"in {outcome.seconds:.1f} s on {outcome.host}")
        if outcome.state == "failed":
            print(outcome.log, file=sys.stderr, flush=True)

    def _say(self, address: str, state: str, more: str = "") -> None:
        elapsed_s = time.monotonic() - self._begun_s
        left_s = remaining_s(self._todo, self._outcomes, elapsed_s)
        left = f"{tqdm.format_interval(left_s)} left" if math.isfinite(left_s) else ""
        count = f"{len(self._outcomes)}/{len(self._todo)}"
        line = f"{elapsed_s:8.1f} s  {left:>12}  {count:>9}  {state:8} {address:30} {more}"
        print(line.rstrip(), flush=True)

    def _compare_versions(self) -> None:
        """Refuse a machine whose packages are not the driver's.

        Raises:
            StudyError: If a version differs, with the machine's and the package's name.
        """
        mine = worker.versions()
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        ask = self._ray.remote(worker.versions)
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        asked = [
            ask.options(
                scheduling_strategy=strategy(node["NodeID"], soft=False), num_cpus=0
            ).remote()
            for node in nodes
        ]
        wrong = [
            f"{name} is {theirs.get(name, 'missing')} on {node['NodeManagerHostname']} and"
            f" {version} here"
            for node, theirs in zip(nodes, self._ray.get(asked), strict=True)
            for name, version in sorted(mine.items())
            if theirs.get(name) != version
        ]
        if wrong:
            raise StudyError("\n".join(wrong))


def remaining_s(todo: Iterable[str], outcomes: Mapping[str, Outcome], elapsed_s: float) -> float:
    """Estimate the time that is left.

    A stage takes what those of its name (before the @) took so far, or the mean of all; as many run
    at a time as did up to now:

        remaining = Σ_left mean / (Σ_done seconds / elapsed)

    Args:
        todo: All stages of the run.
        outcomes: Those that have ended.
        elapsed_s: Since the run began, in seconds.

    Returns:
        Seconds; NaN until a stage has ended.
    """
    if not outcomes:
        return math.nan
    kinds: dict[str, list[float]] = defaultdict(list)
    for address, outcome in outcomes.items():
        kinds[_kind(address)].append(outcome.seconds)
    total_s = sum(outcome.seconds for outcome in outcomes.values())
    means = {kind: sum(each) / len(each) for kind, each in kinds.items()}
    overall = total_s / len(outcomes)
    left_s = sum(means.get(_kind(name), overall) for name in todo if name not in outcomes)
    return left_s * elapsed_s / total_s if total_s else math.nan


def _kind(address: str) -> str:
    return address.partition("@")[0]
