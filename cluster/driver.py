"""Gives Ray each stage as soon as the stages that it depends on are done, and reports progress."""

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
from cluster.plan import Entry, Need, Step
from cluster.worker import Job, Outcome
from vanishing.errors import StudyError

LOGS = Path(".dvc/tmp/cluster")
TICK_S = 1.0  # how often to ask which stages have started


def log(address: str) -> Path:
    """Return the path of a stage's log."""
    return LOGS / f"{address.replace('/', '_').replace(':', '_')}.log"


class Driver:
    """Runs the stages that are due."""

    def __init__(self, ray: Any, steps: Sequence[Step], job: Job, cpus: float) -> None:
        self._ray = ray
        self._steps = {step.address: step for step in steps}
        self._due = {step.address: step for step in steps if step.due}
        self._cpus = cpus
        self._job = ray.put(job)
        self._starts = ray.remote(worker.Starts).options(num_cpus=0).remote()
        self._outcomes: dict[str, Outcome] = {}
        self._running: dict[Any, str] = {}  # {Ray's reference: address}
        self._begin_s = time.monotonic()
        self._width = max(map(len, self._due), default=0)

    def run(self) -> dict[str, Outcome]:
        """Run all due stages except those that depend on a failed one.

        Returns:
            {address: outcome}.
        """
        self._compare_versions()
        order = TopologicalSorter(
            {
                address: [name for name in step.upstream if name in self._due]
                for address, step in self._due.items()
            }
        )
        order.prepare()
        for address in self._due:
            self._report(address, "queued")
        self._start_ready(order)
        while self._running:
            ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=TICK_S)
            for address, host in self._ray.get(self._starts.take.remote()):
                self._report(address, "running", f"on {host}")
            for reference in ended:
                address = self._running.pop(reference)
                outcome = self._outcome(reference)
                self._end(address, outcome)
                if outcome.state != "failed":
                    order.done(address)
            self._start_ready(order)
        return self._outcomes

    def _start_ready(self, order: "TopologicalSorter[str]") -> None:
        """Start the stages whose upstream stages are done, but for those that did not change."""
        while ready := order.get_ready():
            for address in ready:
                step = self._due[address]
                if step.changed or not all(map(self._same_outputs, step.needs)):
                    self._submit(step)
                else:
                    self._end(address, Outcome("unchanged", 0.0, "", "", step.locked, b""))
                    order.done(address)

    def _same_outputs(self, need: Need) -> bool:
        """Tell whether the outputs that a stage needs are those of dvc.lock before this run."""
        if need.address not in self._outcomes:
            return True
        entries = self._steps[need.address].locked, self._outcomes[need.address].entry
        before, after = (
            {out["path"]: out for out in entry.get("outs", []) if out["path"] in need.paths}
            for entry in entries
        )
        return before == after

    def _submit(self, step: Step) -> None:
        options = {"num_cpus": self._cpus, "max_retries": 3, "scheduling_strategy": "SPREAD"}
        task = self._ray.remote(worker.execute).options(**{**options, **step.options})
        reference = task.remote(step, self._job, self._inputs(step), self._starts)
        self._running[reference] = step.address

    def _inputs(self, step: Step) -> dict[str, Entry]:
        """Return {address: entry in dvc.lock} of the stages that a stage depends on."""
        inputs = {}
        for address in step.upstream:
            if address in self._outcomes:
                inputs[address] = self._outcomes[address].entry
            elif address in self._steps and self._steps[address].locked:
                inputs[address] = self._steps[address].locked
        return inputs

    def _outcome(self, reference: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # workers died more often than max_retries
            reason = str(error).strip().splitlines()[0]
            return Outcome("failed", 0.0, "", f"{type(error).__name__}: {reason}\n", {}, b"")
        return outcome

    def _end(self, address: str, outcome: Outcome) -> None:
        self._outcomes[address] = outcome
        if outcome.state == "unchanged":
            self._report(address, outcome.state)
            return
        if outcome.kept:
            workspace.unpack(outcome.kept, Path())
        log(address).write_text(outcome.log, encoding="utf-8")
        self._report(address, outcome.state, f"in {outcome.seconds:.1f} s on {outcome.host}")
        if outcome.state == "failed":
            print(outcome.log, file=sys.stderr, flush=True)

    def _report(self, address: str, state: str, more: str = "") -> None:
        elapsed_s = time.monotonic() - self._begin_s
        left_s = remaining_s(self._due, self._outcomes, elapsed_s)
        left = f"{tqdm.format_interval(left_s)} left" if math.isfinite(left_s) else ""
        count = f"{len(self._outcomes)}/{len(self._due)}"
        line = (
            f"{elapsed_s:8.1f} s  {left:>12}  {count:>9}  {state:9} {address:{self._width}} {more}"
        )
        print(line.rstrip(), flush=True)

    def _compare_versions(self) -> None:
        """Refuse machines whose packages are not the driver's.

        Raises:
            StudyError: If a version differs, with the machine's and the package's name.
        """
        expected = worker.versions()
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        task = self._ray.remote(worker.versions)
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        references = [
            task.options(
                scheduling_strategy=strategy(node["NodeID"], soft=False), num_cpus=0
            ).remote()
            for node in nodes
        ]
        differences = [
            f"{name} is {versions.get(name, 'missing')} on {node['NodeManagerHostname']} and"
            f" {version} here"
            for node, versions in zip(nodes, self._ray.get(references), strict=True)
            for name, version in sorted(expected.items())
            if versions.get(name) != version
        ]
        if differences:
            raise StudyError("\n".join(differences))


def remaining_s(due: Iterable[str], outcomes: Mapping[str, Outcome], elapsed_s: float) -> float:
    """Estimate the remaining time.

    A stage is taken to need the mean time of the stages that share its name before the @, or of all
    stages where none of these has ended. As many stages are taken to run at a time as until now:

        remaining = Σ_left mean / (Σ_ended seconds / elapsed)

    Args:
        due: All stages of the run.
        outcomes: The stages that have ended; unchanged ones took no time and do not count.
        elapsed_s: Since the run began, in seconds.

    Returns:
        Seconds; NaN until a stage has ended.
    """
    times_s: dict[str, list[float]] = defaultdict(list)
    for address, outcome in outcomes.items():
        if outcome.state != "unchanged":
            times_s[_stage_name(address)].append(outcome.seconds)
    all_s = [seconds for times in times_s.values() for seconds in times]
    total_s = sum(all_s)
    if not total_s:
        return math.nan
    means = {name: sum(times) / len(times) for name, times in times_s.items()}
    mean_s = total_s / len(all_s)
    left_s = sum(means.get(_stage_name(name), mean_s) for name in due if name not in outcomes)
    return left_s * elapsed_s / total_s


def _stage_name(address: str) -> str:
    return address.partition("@")[0]
