"""Faults in the middle of `make repro`, many of them: `python -m tests.torture --faults 50`.

The pipeline runs on the fixture's digits in a folder of its own, in process groups of its own, and
at random moments something happens to it; then it is run to its end, and must leave what a run
without faults leaves: the same dvc.lock (which has a hash of every output), the same reports, no
other file, no process, no MLflow run that is still open. Prints counts, and writes them to
docs/reliability.md with `--write`.
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

from tests.support import mlflow_server as serving
from tests.support.dvc_repository import lay_out, surroundings
from tests.support.study import DIGITS, ROOT, tiny_params
from vanishing.paths import PARAMS

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
RESULTS = ("dvc.lock", "models", "data", "reports", "mlflow.db", "mlruns", ".study", ".dvc/cache")
ENDING_S = 20.0  # the longest that a process may outlive what started it
WHOLE_S = 300.0  # the longest that a run may take

_RELIABILITY = ROOT / "docs" / "reliability.md"
_MARK = "<!-- torture -->"


class LostError(Exception):
    """What should have been there after the faults and was not; or the other way round."""


class State(NamedTuple):
    """What a run leaves.

    Attributes:
        files: {path: content} of dvc.lock and the reports.
        names: Every file of the outputs.
    """

    files: dict[str, bytes]
    names: frozenset[str]


class Torture:
    """One folder and one command, run again and again with faults.

    Attributes:
        injected: {fault: how often}.
        survived: {fault: how often everything came out right in the end}.
        problems: What did not.
        finished: How many runs came to their end in between.
    """

    def __init__(self, folder: Path, command: tuple[str, ...], seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.problems: list[str] = []
        self.finished = 0
        self._pending: Counter[str] = Counter()
        self._folder = folder
        self._command = command
        self._random = random.Random(seed)  # noqa: S311 - to torture, not to hide
        self._params = (folder / PATH).read_bytes()
        begun = time.monotonic()
        self._finish()
        self._whole_s = time.monotonic() - begun
        self._expected = self._state()
        self._reset()

    def inject(self, fault: str) -> None:
        """Start the command and let something happen to it; see that nothing of it lives on."""
        process = self._start()
        # A fifth of a whole run: several faults meet a run before it comes to its end.
        deadline = time.monotonic() + self._random.uniform(0.1, 0.2 * self._whole_s)
        while time.monotonic() < deadline:
            if process.poll() is not None:  # it was done before anything happened
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
            self._lose(f"{fault}: lives on: {[' '.join(each.cmdline()) for each in alive]}")
        for each in alive:
            each.kill()

    def check(self, done: bool = False) -> None:
        """Let it finish unless it is done, and count the faults up to now as survived or not."""
        self.finished += 1
        try:
            if not done:
                self._finish()
            self._compare(self._state())
        except LostError as error:
            self._lose(f"after {dict(self._pending)}: {error}")
        else:
            self.survived += self._pending
        self._pending.clear()

    def _lose(self, problem: str) -> None:
        self.problems.append(problem)
        self._pending.clear()

    def _start(self) -> subprocess.Popen[bytes]:
        log = (self._folder.parent / "log").open("ab")
        with log:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                # With a target, DVC's order of independent stages, and so of the entries in
                # dvc.lock, is that of a Python set; without one it is dvc.yaml's.
                env=surroundings(LIVE_METRICS="1", MNIST_SOURCE=str(DIGITS), PYTHONHASHSEED="0"),
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
            tail = (self._folder.parent / "log").read_text().splitlines()[-5:]
            raise LostError(f"a run without faults ends with {status}: {' | '.join(tail)}")

    def _family(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            return [parent, *parent.children(recursive=True)]
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
        for each in family:
            with contextlib.suppress(psutil.Error):
                if each.cmdline()[1:3] == ["-m", "dvc"]:
                    self._kill(each)

    def _kill(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    def _edit(self, process: subprocess.Popen[bytes], _: list[psutil.Process]) -> None:
        content = YAML(typ="safe").load(self._params)
        key = self._random.choice(["learning_rate", "momentum"])
        content["train"][key] = 0.0625
        with (self._folder / PATH).open("wb") as file:
            YAML().dump(content, file)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._random.uniform(0.1, self._whole_s))
        self._group(process, [])
        (self._folder / PATH).write_bytes(self._params)

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
        outputs = [self._folder / name for name in sorted(self._names())]
        outputs = [path for path in outputs if "reports" not in path.parts and path.is_file()]
        if outputs:
            path = self._random.choice(outputs)
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def _disk(self, _: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
        limit = self._random.randrange(20_000)
        for each in family:  # and so for what they start
            with contextlib.suppress(psutil.Error):
                each.rlimit(psutil.RLIMIT_FSIZE, (limit, limit))

    def _names(self) -> frozenset[str]:
        return frozenset(
            path.relative_to(self._folder).as_posix()
            for folder in ("models", "data", "reports")
            for path in (self._folder / folder).rglob("*")
            if path.is_file()
        )

    def _state(self) -> State:
        names = self._names()
        kept = [name for name in names if name.startswith("reports/")] + ["dvc.lock"]
        return State({name: (self._folder / name).read_bytes() for name in kept}, names)

    def _compare(self, state: State) -> None:
        if state.names != self._expected.names:
            raise LostError(f"other files: {sorted(state.names ^ self._expected.names)}")
        for name, content in self._expected.files.items():
            if state.files[name] != content:
                old, new = (each.decode(errors="replace") for each in (content, state.files[name]))
                diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
                changed = [line for line in diff if not line.startswith("---")]
                raise LostError(f"{name} has another content: {changed[1:8]}")
        if (self._folder / "mlflow.db").exists():
            runs = serving.runs(f"sqlite:///{self._folder}/mlflow.db")
            still = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
            if still:
                raise LostError(f"MLflow runs are open: {still}")

    def _reset(self) -> None:
        """Forget all results, so that the next run begins from nothing."""
        for name in RESULTS:
            path = self._folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self._folder / PATH).write_bytes(self._params)


def table(torture: Torture) -> str:
    """Return the counts as a table."""
    counts = [(f, what, torture.injected[f], torture.survived[f]) for f, what in FAULTS.items()]
    counts.append(("all", "", torture.injected.total(), torture.survived.total()))
    rows = [(*row, row[2] - row[3]) for row in counts if row[2]]
    return tabulate(rows, ["fault", "", "injected", "survived", "lost"], tablefmt="github")


def main(argv: list[str]) -> int:
    """Torture the pipeline, and report.

    Returns:
        0 if nothing was lost.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, help="how many")
    parser.add_argument("--minutes", type=float, default=9.0, help="the longest to inject them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the faults")
    parser.add_argument("--write", action="store_true", help="put the counts into the docs")
    options = parser.parse_args(argv)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as top:
        folder = Path(top) / "study"
        content = tiny_params()
        del content["variants"]["sigmoid-batchnorm"]
        lay_out(folder, content)
        torture = Torture(folder, MAKE, options.seed)
        kinds = list(FAULTS)
        with tqdm(total=options.faults, desc="torture", unit="fault", disable=None) as bar:
            while torture.injected.total() < options.faults:
                if time.monotonic() - begun > options.minutes * 60:
                    break
                before = torture.injected.total()
                torture.inject(kinds[before % len(kinds)])
                bar.update(torture.injected.total() - before)
        torture.check()
    minutes = (time.monotonic() - begun) / 60
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
