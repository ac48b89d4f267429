"""The workflow's own steps, in order, on a runner's folder: a bare origin stands for GitHub."""

import json
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from tests.support.dvc_repository import CLOSING, PYTHON, call, environment_in, ran, set_remote
from tests.support.processes import below, until
from tests.support.s3_server import VARIABLES, Bucket
from tests.support.servers import free_port
from tests.test_workflow import JOBS
from vanishing.paths import LOCK, REPORTS, checkpoint

BRANCH = "topic"
TEMPLATE = "vanishing/reporting/report.md.j2"
TRACKING = "RUNNER_TRACKING_ID"  # a variable by which GitHub's runner knows a job's processes
# GitHub's runner waits for 7.5 s and 2.5 s. Tests cancel what does not move.
PATIENCE_S = 0.5

pytestmark = pytest.mark.slow


class Runner:
    """A folder of a self-hosted runner, which stays from job to job."""

    def __init__(self, top: Path, secrets: Mapping[str, str]) -> None:
        self.origin = top / "origin.git"
        self.folder = top / "runner"
        self.output = top / "output"  # what GITHUB_OUTPUT names
        self.output.touch()
        self.published = ""  # the branch that has the results
        self._secrets = dict(secrets)

    def run(self, job: str, until: str = "", **variables: str) -> str:
        """Run the steps of a job up to the first whose command begins with `until`.

        Args:
            job: Its name.
            until: How the first command begins that is not run.
            **variables: Of the environment; those that the workflow sets are empty otherwise.

        Returns:
            What they printed.
        """
        printed = ""
        for step in JOBS[job]["steps"]:
            if until and step.get("run", "").startswith(until):
                break
            printed += self.step(job, step, variables=variables)
        return printed

    def step(
        self,
        job: str,
        step: dict[str, Any],
        status: int = 0,
        variables: dict[str, str] | None = None,
    ) -> str:
        """Run one step; those of other people's actions are done by hand or left out."""
        if step.get("uses", "").startswith("actions/checkout@"):
            self._check_out(step["with"])
        if "run" not in step:
            return ""
        with self._start(job, step["run"], **(variables or {})) as shell:
            printed, _ = shell.communicate()
        assert shell.returncode == status, f"{step['run']}\n{printed}"
        return printed

    def cancel(self, job: str, step: dict[str, Any], in_middle: Callable[[int], bool]) -> None:
        """Begin a step, and cancel the job in the middle of it.

        As GitHub's runner does on Linux (actions/runner, ProcessInvoker.cs and JobExtension.cs): it
        signals the step's shell, which waits for its child and passes nothing on. Make and all
        below it are killed at the job's end, one after the other.

        Args:
            job: Its name.
            step: The step.
            in_middle: Tells whether the step is in its middle, from the number of its shell.
        """
        tracking = uuid.uuid4().hex
        with self._start(job, step["run"], **{TRACKING: tracking}) as shell:
            until(lambda: shell.poll() is not None or in_middle(shell.pid), patience_s=300)
            assert shell.poll() is None
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                shell.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    shell.wait(PATIENCE_S)
            for process in processes_of(tracking):
                process.kill()
            assert shell.communicate()[0].count("Traceback") == 0
        until(lambda: processes_of(tracking) == [])

    def _start(self, job: str, command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a step's script as GitHub's runner does."""
        script = self.output.with_name("step.sh")
        script.write_text(command.replace("make ", "make -o setup ", 1))
        defaults = dict.fromkeys(JOBS[job]["env"], "") | {"BRANCH": BRANCH} | self._secrets
        defaults |= {"GITHUB_OUTPUT": str(self.output)}
        defaults |= {"GITHUB_STEP_SUMMARY": str(self.output.with_name("summary"))}
        return subprocess.Popen(
            ["bash", "-e", str(script)],
            cwd=self.folder,
            env=environment_in(self.folder, **(defaults | variables)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _check_out(self, options: dict[str, Any]) -> None:
        """Do what actions/checkout does, the removal of ignored files included."""
        if not self.folder.exists():
            call(self.origin.parent, "git", "clone", "-q", str(self.origin), str(self.folder))
        (self.folder / ".git/index.lock").unlink(missing_ok=True)
        call(self.folder, "git", "checkout", "-q", "--detach")
        branches = call(
            self.folder, "git", "for-each-ref", "--format=%(refname:short)", "refs/heads"
        )
        for branch in branches.split():  # where this fails, it deletes the whole folder
            call(self.folder, "git", "branch", "-qD", branch)
        if options.get("clean", True):
            call(self.folder, "git", "clean", "-ffdxq")
            call(self.folder, "git", "reset", "-q", "--hard")
        call(self.folder, "git", "fetch", "-q", "origin")
        call(self.folder, "git", "checkout", "-q", "--force", "-B", BRANCH, f"origin/{BRANCH}")

    def log(self, branch: str) -> list[str]:
        """Return the titles of a branch's commits in the origin, the newest first."""
        return call(self.origin, "git", "log", "--format=%s", branch).splitlines()


def processes_of(tracking: str) -> list[psutil.Process]:
    """Return the processes of a job."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if process.environ().get(TRACKING) == tracking:
                processes.append(process)
    return processes


def stopped(shell: int, *arguments: str) -> bool:
    """Stop the process below a shell that has these first arguments; tell whether there is one."""
    for process in below(shell, *arguments):
        process.suspend()
        return True
    return False


def create_runner(repository: Path, top: Path, secrets: Mapping[str, str]) -> Runner:
    """Create a runner and an origin with the repository's branch."""
    runner = Runner(top, secrets)
    call(top, "git", "init", "-q", "--bare", str(runner.origin))
    call(repository, "git", "push", "-q", str(runner.origin), f"HEAD:refs/heads/{BRANCH}")
    call(runner.origin, "git", "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
    return runner


@pytest.fixture
def runner(repository: Path, tmp_path: Path) -> Runner:
    """Give a new runner, whose branch needs another report; a folder has all the data."""
    return lay_out(repository, tmp_path, {"url": str(tmp_path / "store")}, {})


@pytest.fixture
def runner_of_bucket(repository: Path, tmp_path: Path, bucket: Bucket) -> Runner:
    """Give a new runner, whose branch needs another report; a bucket has all the data."""
    return lay_out(repository, tmp_path, bucket.settings, VARIABLES)


def lay_out(
    repository: Path, top: Path, settings: Mapping[str, str], secrets: Mapping[str, str]
) -> Runner:
    """Send all the data to a remote, and create a runner and a branch that needs another report."""
    set_remote(repository, settings)
    call(repository, *PYTHON, "dvc", "push", "-q", "--run-cache", variables=dict(secrets))
    edit(repository, TEMPLATE, "a store, and another report")
    return create_runner(repository, top, secrets)


def step_of(command: str) -> dict[str, Any]:
    """Return the step of `reproduce` whose command begins so."""
    (step,) = (s for s in JOBS["reproduce"]["steps"] if s.get("run", "").startswith(command))
    return dict(step)


def edit(repository: Path, name: str, title: str) -> None:
    """Add a line to a file and commit everything."""
    path = repository / name
    before = path.read_text("utf-8") if path.exists() else ""
    path.write_text(f"{before}{title}\n", "utf-8")
    call(repository, "git", "add", ".")
    call(repository, "git", "commit", "-qm", title)


def test_a_second_job_finds_all_that_the_first_left(runner_of_bucket: Runner) -> None:
    runner = runner_of_bucket
    printed = runner.run("reproduce")
    assert " report " in printed
    assert "train@" not in printed.split("of work here")[-1]
    assert runner.log(BRANCH)[0] == "Reproduce the study"
    assert (runner.folder / ".dvc/cache").exists()
    (runner.folder / ".venv").mkdir()
    printed = runner.run("reproduce")
    assert "every stage is up to date" in printed
    assert "nothing to publish" in printed
    assert (runner.folder / ".venv").exists()
    assert runner.log(BRANCH).count("Reproduce the study") == 1
    assert runner.output.read_text() == ""


def test_results_of_a_branch_that_moved_are_not_lost(
    runner: Runner, repository: Path, tmp_path: Path
) -> None:
    runner.run("reproduce", until="make publish")
    (repository / "docs").mkdir()
    edit(repository, "docs/remark.md", "moved")
    moved = publish_after_a_push(runner, repository, tmp_path / "remark")
    assert moved.published == BRANCH
    assert moved.log(BRANCH)[:2] == ["Reproduce the study", "moved"]
    assert moved.output.read_text() == ""

    edit(repository, TEMPLATE, "moved: the results are of another report")
    check_results_beside(publish_after_a_push(runner, repository, tmp_path / "template"))

    lock = repository / "dvc.lock"  # somebody else has reproduced it, too
    lock.write_text(lock.read_text().replace("md5: ", "md5: 0"))
    edit(repository, "dvc.lock", "# moved")
    check_results_beside(publish_after_a_push(runner, repository, tmp_path / "lock"))


def publish_after_a_push(runner: Runner, repository: Path, top: Path) -> Runner:
    """Push to the branch, then publish what a job has computed; in a copy of everything."""
    top.mkdir()
    copy = Runner(top, {})
    shutil.copytree(runner.origin, copy.origin)
    shutil.copytree(runner.folder, copy.folder, symlinks=True)
    call(copy.folder, "git", "remote", "set-url", "origin", str(copy.origin))
    call(repository, "git", "push", "-q", str(copy.origin), f"HEAD:refs/heads/{BRANCH}")
    copy.published = copy.step("reproduce", step_of("make publish")).splitlines()[-1]
    assert call(copy.folder, "git", "status", "--porcelain") == ""
    return copy


def check_results_beside(runner: Runner) -> None:
    """Look whether the results are on a branch of their own, and the job says so."""
    assert runner.published.startswith(f"results/{BRANCH}/")
    assert "moved" in runner.log(BRANCH)[0]
    assert runner.log(runner.published)[0] == "Reproduce the study"
    assert runner.output.read_text() == f"results={runner.published}\n"


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_store_that_is_down_ends_the_job_before_work(
    repository: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "store").touch()  # where a folder should be
    folder = {"url": str(tmp_path / "store")}
    server = f"http://127.0.0.1:{free_port()}"
    settings = {"folder": folder, "bucket": {"url": "s3://bucket", "endpointurl": server}}[kind]
    set_remote(repository, settings)
    edit(repository, "remark.md", "a store")
    runner = create_runner(repository, tmp_path, VARIABLES)
    runner.run("reproduce", until="make pull")
    for command, verb in (("make pull", "read"), ("make push", "written")):
        error, _make = runner.step("reproduce", step_of(command), status=2).splitlines()
        assert error.startswith(f"error: the DVC remote store ({settings['url']}) cannot be {verb}")


def test_a_review_pushes_its_figure_to_where_the_comment_shows_it(
    runner: Runner, repository: Path
) -> None:
    call(repository, "git", "push", "-q", str(runner.origin), "HEAD:refs/heads/main")
    metrics = repository / "reports/metrics.json"
    content = json.loads(metrics.read_text())
    content["relu"]["train_loss"] *= 2
    metrics.write_text(json.dumps(content))
    call(repository, "git", "commit", "-qam", "made worse")
    call(repository, "git", "push", "-q", str(runner.origin), f"HEAD:refs/heads/{BRANCH}")
    environment = JOBS["review"]["env"]
    variables = {"OUT": environment["OUT"], "BASE": "origin/main", "PULL_REQUEST": "7"}
    printed = runner.run(
        "review", until="make comment", GITHUB_REPOSITORY="someone/study", **variables
    )
    sha = call(runner.origin, "git", "rev-parse", "review/7").strip()
    assert (
        f"![curves before and after](https://github.com/someone/study/blob/{sha}/review.png?raw=true)"
        in printed
    )
    assert call(runner.origin, "git", "ls-tree", "--name-only", sha) == "review.png\n"
    assert (runner.folder / environment["OUT"]).read_text() in printed


def forget(repository: Path, variant: str) -> None:
    """Commit a branch in which one variant is new, and nothing after it has run."""
    yaml = YAML()
    lock = yaml.load(repository / LOCK)
    kept = ("fingerprint", "validate", "download", "train@", "extract@", "initialise@")
    for stage in list(lock["stages"]):
        if not stage.startswith(kept) or stage.partition("@")[2] in {variant, f"{variant}-0"}:
            del lock["stages"][stage]
    yaml.dump(lock, repository / LOCK)
    call(repository, "git", "rm", "-rq", str(REPORTS))
    edit(repository, "docs.md", f"{variant} is new")


def test_a_cancelled_job_is_completed_by_the_next(
    repository: Path, tmp_path: Path, bucket: Bucket
) -> None:
    call(repository, "git", "tag", "finished")
    set_remote(repository, bucket.settings)
    forget(repository, "relu")
    call(repository, *PYTHON, "dvc", "push", "-q", variables=VARIABLES)
    runner = create_runner(repository, tmp_path, VARIABLES)

    runner.run("reproduce", until="make repro")
    train = ("-m", "stages", "train", "relu")
    runner.cancel("reproduce", step_of("make repro"), lambda shell: stopped(shell, *train))
    printed = runner.run("reproduce", until="make push")
    assert ran(printed)[:3] == ["train@relu-0", "extract@relu-0", "initialise@relu"]
    assert not (runner.folder / checkpoint("relu", 0)).exists()

    before = bucket.keys()

    def is_pushing(shell: int) -> bool:
        return len(bucket.keys()) > len(before) + 3 and stopped(shell, "-m", "dvc", "push")

    runner.cancel("reproduce", step_of("make push"), is_pushing)
    half = bucket.keys()
    assert set(ran(runner.run("reproduce"))) <= set(CLOSING)
    assert len(before) < len(half) < len(bucket.keys())
    shutil.rmtree(runner.folder)
    pulled = runner.run("reproduce", until="make repro")
    assert "not in the DVC remote" not in pulled
    assert (runner.folder / "models/relu/seed-0/epoch-002.safetensors").exists()

    call(repository, "git", "fetch", "-q", str(runner.origin), BRANCH)
    assert call(repository, "git", "diff", "finished", "FETCH_HEAD", "--", str(REPORTS)) == ""
    expected, lock = (
        YAML(typ="safe").load(call(repository, "git", "show", f"{commit}:{LOCK}"))
        for commit in ("finished", "FETCH_HEAD")
    )
    assert lock == expected


def test_a_publication_that_is_cancelled_is_made_by_the_next_job(
    runner: Runner, repository: Path
) -> None:
    def move(title: str) -> None:
        edit(repository, "remark.md", title)
        call(repository, "git", "push", "-q", str(runner.origin), f"HEAD:refs/heads/{BRANCH}")

    runner.run("reproduce", until="make publish")
    (runner.folder / ".git/index.lock").touch()  # as a `git add` that was killed leaves it
    error, _make = runner.step("reproduce", step_of("make publish"), status=2).splitlines()
    assert error.startswith("error: git add: ")
    assert "index.lock': File exists" in error
    (runner.folder / ".git/index.lock").unlink()
    move("moved")
    mark = runner.output.with_name("rebasing")
    # A filter holds up the rebase where it writes the file; no hook runs in `make publish`.
    attributes = runner.folder / ".git/info/attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("remark.md filter=slow\n")
    wait = f"test ! -d .git/rebase-merge || {{ touch {mark}; sleep 600; }}; cat"
    call(runner.folder, "git", "config", "filter.slow.smudge", wait)
    runner.cancel("reproduce", step_of("make publish"), lambda _shell: mark.exists())
    attributes.unlink()
    runner.run("reproduce", until="make publish")
    move("moved again")
    assert runner.step("reproduce", step_of("make publish")).splitlines()[-1] == BRANCH
    assert runner.log(BRANCH)[:3] == ["Reproduce the study", "moved again", "moved"]
