"""Faults in the middle of `make repro`, many of them: `python -m tests.torture --faults 50`.

The pipeline runs on the fixture's digits in a folder of its own, in process groups of its own. At
random moments a fault is injected. Then the pipeline runs to its end, and has to leave the results
of a run without faults: the same dvc.lock (it has a hash of every output), the same reports, no
other file, no process, no open MLflow run. Prints counts, and writes them to docs/reliability.md
with `--write`. With `--study` the pipeline runs in the folder of a study.
"""

import argparse
import contextlib
import difflib
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import psutil
from ruamel.yaml import YAML
from tabulate import tabulate
from tqdm import tqdm

from tests.support import mlflow_server
from tests.support.dvc_repository import environment_in, lay_out, make
from tests.support.processes import below
from tests.support.study import DIGITS, ROOT, tiny_params, write_params
from vanishing.paths import LOCK, PARAMS, REPORTS
from vanishing.tracking.identity import DATABASE, ROOT_EXPERIMENT

FAULTS = {
    "group": "SIGKILL to all its processes at once, as if the power failed",
    "child": "SIGKILL to one of its processes, whichever",
    "dvc": "SIGKILL to DVC alone, which leaves its stage behind",
    "interrupt": "SIGINT to all its processes, as by Ctrl-C",
    "edit": "params.yaml edited while it runs, and put back",
    "second": "a second one started beside it",
    "damage": "SIGKILL to all, then one of the outputs cut in half",
    "disk": "no file may grow beyond a few kB from then on, as if the disk were full",
}
MAKE = ("make", "-o", "setup", "repro")
OUTPUTS = ("models", "data", "reports")
STATE = (LOCK, ".study")  # beside the outputs
STORES = (DATABASE, "mlruns", ".study", ".dvc/cache")  # in the root of the repository
ENDING_S = 20.0  # the longest that a process may outlive the one that started it
WHOLE_S = 300.0  # the longest that a run may take

_RELIABILITY = ROOT / "docs" / "reliability.md"
_MARK = "<!-- torture -->"


class LostError(Exception):
    """A difference between the results after faults and those of a run without."""


class Results(NamedTuple):
    """The results of a run.

    Attributes:
        contents: {path: content} of dvc.lock and the reports.
        names: Every file of the outputs.
    """

    contents: dict[str, bytes]
    names: frozenset[str]


class Torture:
    """One folder and one command, run again and again with faults.

    Attributes:
        injected: {fault: how often}.
        survived: {fault: how often the results were right in the end}.
        problems: Descriptions of wrong results.
        finished: How many runs came to their end in between.
    """

    def __init__(
        self,
        repository: Path,
        command: tuple[str, ...],
        seed: int,
        study: Path = Path(),
        live: bool = True,
    ) -> None:
        """Run the command once without faults, and remove the results.

        Args:
            repository: As `lay_out` leaves it.
            command: It is run in the repository's root.
            seed: Of the moments of the faults.
            study: The folder of the study, relative to the root.
            live: Whether MLflow shows each training while it runs.
        """
        self.injected: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.problems: list[str] = []
        self.finished = 0
        self._pending: Counter[str] = Counter()
        self._repository = repository
        self._study = repository / study
        self._experiment = "-".join([ROOT_EXPERIMENT, *study.parts[1:]])
        self._log = repository.with_name("log")
        self._command = command
        self._live = live
        self._random = random.Random(seed)  # noqa: S311 - to torture, not to hide
        self._params = (self._study / PARAMS).read_bytes()
        started_s = time.monotonic()
        self._finish()
        self._whole_s = time.monotonic() - started_s
        self._expected = self._results()
        self._reset()

    def inject(self, fault: str) -> None:
        """Start the command, inject a fault, and see that no process lives on."""
        process = self._start()
        # A fifth of a whole run: several faults meet a run before it comes to its end.
        deadline_s = time.monotonic() + self._random.uniform(0.1, 0.2 * self._whole_s)
        while time.monotonic() < deadline_s:
            if process.poll() is not None:  # it ended before the fault
                self.check(done=process.returncode == 0)
                self._reset()
                return
            time.sleep(0.01)
        self.injected[fault] += 1
        self._pending[fault] += 1
        family = self._family(process)
        getattr(self, f"_{fault}")(process, family)
        try:
            process.wait(WHOLE_S)
        except subprocess.TimeoutExpired:
            self._lose(f"{fault}: still running after {WHOLE_S:g} s")
        _, alive = psutil.wait_procs(family, ENDING_S)
        if alive:
            self._lose(f"{fault}: lives on: {[' '.join(child.cmdline()) for child in alive]}")
        for child in alive:
            child.kill()

    def check(self, done: bool = False) -> None:
        """Run to the end unless that is done, and count the faults so far as survived or not."""
        self.finished += 1
        try:
            if not done:
                self._finish()
            self._compare(self._results())
        except LostError as error:
            self._lose(f"after {dict(self._pending)}: {error}")
        else:
            self.survived += self._pending
        self._pending.clear()

    def _lose(self, problem: str) -> None:
        self.problems.append(problem)
        self._pending.clear()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._repository,
                # With a target, DVC's order of independent stages, and so of the entries in
                # dvc.lock, is that of a Python set; without one it is dvc.yaml's.
                env=environment_in(
                    self._repository,
                    VANISHING_LIVE_METRICS=str(int(self._live)),
                    VANISHING_DATA_SOURCE=str(DIGITS),
                    PYTHONHASHSEED="0",
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _finish(self) -> None:
        process = self._start()
        try:
            status = process.wait(WHOLE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise LostError(f"a run without faults takes more than {WHOLE_S:g} s") from None
        if status:
            tail = self._log.read_text().splitlines()[-5:]
            raise LostError(f"a run without faults ends with {status}: {' | '.join(tail)}")

    def _family(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [psutil.Process(process.pid), *below(process.pid)]
        return []

    def _group(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _interrupt(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)

    def _child(self, _: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
        if family:
            self._kill(self._random.choice(family))

    def _dvc(self, _: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
        for child in family:
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[1:3] == ["-m", "dvc"]:
                    self._kill(child)

    def _kill(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    def _edit(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        content = YAML(typ="safe").load(self._params)
        key = self._random.choice(["learning_rate", "momentum"])
        content["train"]["optimizer"][key] = 0.0625
        write_params(self._study, content)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._random.uniform(0.1, self._whole_s))
        self._group(process, [])
        (self._study / PARAMS).write_bytes(self._params)

    def _second(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        other = self._start()
        try:
            other.wait(WHOLE_S)
            process.wait(WHOLE_S)
        except subprocess.TimeoutExpired:
            os.killpg(other.pid, signal.SIGKILL)
            self._group(process, [])

    def _damage(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        self._group(process, [])
        process.wait()
        outputs = [Path(name) for name in sorted(self._names())]
        outputs = [path for path in outputs if REPORTS not in path.parents]
        if outputs:
            path = self._study / self._random.choice(outputs)
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def _disk(self, _: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
        limit = self._random.randrange(20_000)
        for child in family:  # and so for processes that they start
            with contextlib.suppress(psutil.Error):
                child.rlimit(psutil.RLIMIT_FSIZE, (limit, limit))

    def _names(self) -> frozenset[str]:
        return frozenset(
            path.relative_to(self._study).as_posix()
            for folder in OUTPUTS
            for path in (self._study / folder).rglob("*")
            if path.is_file()
        )

    def _results(self) -> Results:
        names = self._names()
        paths = {name: self._study / name for name in names if REPORTS in Path(name).parents}
        paths[str(LOCK)] = self._study / LOCK
        contents = {
            name: path.read_bytes() if path.exists() else b"" for name, path in paths.items()
        }
        return Results(contents, names)

    def _compare(self, results: Results) -> None:
        if results.names != self._expected.names:
            raise LostError(f"other files: {sorted(results.names ^ self._expected.names)}")
        for name, content in self._expected.contents.items():
            if results.contents[name] != content:
                texts = (content, results.contents[name])
                old, new = (text.decode(errors="replace").splitlines() for text in texts)
                diff = list(difflib.unified_diff(old, new, lineterm="", n=0))
                raise LostError(f"{name} has another content: {diff[2:9]}")
        database = self._repository / DATABASE
        if database.exists():
            runs = mlflow_server.runs(f"sqlite:///{database}", self._experiment)
            running = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
            if running:
                raise LostError(f"MLflow runs are open: {running}")

    def _reset(self) -> None:
        """Remove all results, so that the next run begins from nothing."""
        paths = [self._study / name for name in (*OUTPUTS, *STATE)]
        paths += [self._repository / name for name in STORES]
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self._study / PARAMS).write_bytes(self._params)


def table(torture: Torture) -> str:
    """Return the counts as a table."""
    counts = [
        (fault, description, torture.injected[fault], torture.survived[fault])
        for fault, description in FAULTS.items()
    ]
    counts.append(("all", "", torture.injected.total(), torture.survived.total()))
    rows = [(*row, row[2] - row[3]) for row in counts if row[2]]
    return tabulate(rows, ["fault", "", "injected", "survived", "lost"], tablefmt="github")


def prepare(repository: Path, study: Path) -> tuple[str, ...]:
    """Lay out a repository with a study of two variants; return the command that reproduces it."""
    content = tiny_params()
    del content["variants"]["sigmoid-batchnorm"]
    lay_out(repository, content)
    if study == Path():
        return MAKE
    make(repository, "study", NAME=study.name)
    return (*MAKE, f"STUDY={study}")


def main(argv: list[str]) -> int:
    """Torture the pipeline, and report.

    Returns:
        0 if nothing was lost.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, help="how many")
    parser.add_argument("--minutes", type=float, default=9.0, help="the longest to inject them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the faults")
    parser.add_argument("--study", type=Path, default=Path(), help="run in such a folder")
    parser.add_argument("--write", action="store_true", help="put the counts into the docs")
    options = parser.parse_args(argv)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as top:
        repository = Path(top) / "repository"
        command = prepare(repository, options.study)
        torture = Torture(repository, command, options.seed, options.study)
        kinds = list(FAULTS)
        with tqdm(total=options.faults, desc="torture", unit="fault", disable=None) as bar:
            while torture.injected.total() < options.faults:
                if time.monotonic() - started_s > options.minutes * 60:
                    break
                before = torture.injected.total()
                torture.inject(kinds[before % len(kinds)])
                bar.update(torture.injected.total() - before)
        torture.check()
    minutes = (time.monotonic() - started_s) / 60
    print(table(torture))
    print(f"{minutes:.1f} minutes, {torture.finished} runs to the end, seed {options.seed}")
    for problem in torture.problems:
        print(f"lost: {problem}")
    if options.write:
        head, *_ = _RELIABILITY.read_text().partition(_MARK)
        _RELIABILITY.write_text(
            f"{head}{_MARK}\n\n{table(torture)}\n\nOn {os.cpu_count()} cores of"
            f" {platform.system()}, Python {platform.python_version()}: {minutes:.1f} minutes,"
            f" {torture.finished} runs to the end, seed {options.seed}.\n"
        )
    return int(torture.survived != torture.injected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
