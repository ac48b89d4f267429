"""The workflow's own steps, in order, on a runner's folder: a bare origin stands for GitHub."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.dvc_repository import PYTHON, call, environment_in
from tests.test_workflow import JOBS

BRANCH = "topic"
TEMPLATE = "vanishing/reporting/report.md.j2"

pytestmark = pytest.mark.slow


class Runner:
    """A folder of a self-hosted runner, which stays from job to job."""

    def __init__(self, top: Path) -> None:
        self.origin = top / "origin.git"
        self.folder = top / "runner"
        self.output = top / "output"  # what GITHUB_OUTPUT names
        self.output.touch()
        self.published = ""  # the branch that has the results

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
        defaults = dict.fromkeys(JOBS[job]["env"], "") | {"BRANCH": BRANCH}
        defaults |= {"GITHUB_OUTPUT": str(self.output)}
        defaults |= {"GITHUB_STEP_SUMMARY": str(self.output.with_name("summary"))}
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"].replace("make ", "make -o setup ", 1)],
            cwd=self.folder,
            env=environment_in(self.folder, **(defaults | (variables or {}))),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{step['run']}\n{done.stdout}"
        return done.stdout

    def _check_out(self, options: dict[str, Any]) -> None:
        """Do what actions/checkout does, the removal of ignored files included."""
        if not self.folder.exists():
            call(self.origin.parent, "git", "clone", "-q", str(self.origin), str(self.folder))
        if options.get("clean", True):
            call(self.folder, "git", "clean", "-ffdxq")
            call(self.folder, "git", "reset", "-q", "--hard")
        call(self.folder, "git", "fetch", "-q", "origin")
        call(self.folder, "git", "checkout", "-q", "--force", "-B", BRANCH, f"origin/{BRANCH}")

    def log(self, branch: str) -> list[str]:
        """Return the titles of a branch's commits in the origin, the newest first."""
        return call(self.origin, "git", "log", "--format=%s", branch).splitlines()


@pytest.fixture
def runner(repository: Path, tmp_path: Path) -> Runner:
    """Give a new runner, whose branch needs another report; a DVC remote has all the data."""
    call(repository, *PYTHON, "dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    call(repository, *PYTHON, "dvc", "push", "-q", "--run-cache")
    edit(repository, TEMPLATE, "a store, and another report")
    runner = Runner(tmp_path)
    call(tmp_path, "git", "init", "-q", "--bare", str(runner.origin))
    call(repository, "git", "push", "-q", str(runner.origin), f"HEAD:refs/heads/{BRANCH}")
    call(runner.origin, "git", "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
    return runner


def edit(repository: Path, name: str, title: str) -> None:
    """Add a line to a file and commit everything."""
    path = repository / name
    before = path.read_text("utf-8") if path.exists() else ""
    path.write_text(f"{before}{title}\n", "utf-8")
    call(repository, "git", "add", ".")
    call(repository, "git", "commit", "-qm", title)


def test_a_second_job_finds_all_that_the_first_left(runner: Runner) -> None:
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
    copy = Runner(top)
    shutil.copytree(runner.origin, copy.origin)
    shutil.copytree(runner.folder, copy.folder, symlinks=True)
    call(copy.folder, "git", "remote", "set-url", "origin", str(copy.origin))
    call(repository, "git", "push", "-q", str(copy.origin), f"HEAD:refs/heads/{BRANCH}")
    (publish,) = [s for s in JOBS["reproduce"]["steps"] if "make publish" in s.get("run", "")]
    copy.published = copy.step("reproduce", publish).splitlines()[-1]
    assert call(copy.folder, "git", "status", "--porcelain") == ""
    return copy


def check_results_beside(runner: Runner) -> None:
    """Look whether the results are on a branch of their own, and the job says so."""
    assert runner.published.startswith(f"results/{BRANCH}/")
    assert "moved" in runner.log(BRANCH)[0]
    assert runner.log(runner.published)[0] == "Reproduce the study"
    assert runner.output.read_text() == f"results={runner.published}\n"


def test_a_store_that_is_down_ends_the_job_before_work(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").touch()  # so that it cannot be made again
    runner.run("reproduce", until="make pull")
    (pull,) = [s for s in JOBS["reproduce"]["steps"] if "make pull" in s.get("run", "")]
    printed = runner.step("reproduce", pull, status=2)
    assert "error: dvc pull failed (see above)" in printed
    assert "Traceback" not in printed


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
