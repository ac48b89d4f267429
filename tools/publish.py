"""Commit the results of every study and push them: `python -m tools.publish BRANCH`, for CI.

In: dvc.lock and reports/ of every study. Out: a commit on the branch in `origin`. If the branch
moved meanwhile, the commit is put on top of it; where that cannot be, or dvc.lock would not belong
to the branch's new code, it is pushed to `results/BRANCH/COMMIT` instead, and the file that
GITHUB_OUTPUT names gets a line `results=results/BRANCH/COMMIT`. The last line printed is the name
of the branch that has the results.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tools import stale
from tools.commits import OF_NO_PERSON, GitError, git
from tools.studies import study_folders
from vanishing.errors import StudyError, run_command
from vanishing.paths import LOCK, PARAMS, REPORTS


def main(argv: list[str]) -> None:
    """Commit and push.

    Raises:
        StudyError: If Git fails, or `origin` takes nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.publish", description=__doc__)
    parser.add_argument("branch", help="the branch that the results are for")
    try:
        publish(parser.parse_args(argv).branch)
    except subprocess.CalledProcessError as error:
        raise StudyError(f"git: {' '.join(error.stderr.split())}") from None


def publish(branch: str) -> None:
    """Commit the results, push them to a branch, or beside it, and print where they are."""
    git("add", "--", *map(str, result_paths()))
    if not git("diff", "--cached", "--name-only"):
        print("the results are those of the branch: nothing to publish")
        return
    git("commit", "-q", "-m", "Reproduce the study", settings=OF_NO_PERSON)
    print(branch if _push(branch) or _push_on_top(branch) else _push_beside(branch))


def result_paths() -> list[Path]:
    """Return dvc.lock and the reports of every study that has them."""
    folders = study_folders(Path(), PARAMS)
    paths = [folder / path for folder in folders for path in (LOCK, REPORTS)]
    return [path for path in paths if path.exists()]


def _push(branch: str) -> bool:
    """Push HEAD to a branch of `origin`; return whether it took it."""
    try:
        git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    except GitError:
        return False
    return True


def _push_on_top(branch: str) -> bool:
    """Put the commit on top of the branch as it is now, if they belong together, and push it."""
    results = git("rev-parse", "HEAD").strip()
    # A job may be cancelled in the middle of the rebase. Git then refuses to delete the branch that
    # is rebased, and actions/checkout would delete the whole folder instead, with DVC's cache.
    git("checkout", "--quiet", "--detach")
    subprocess.run(["git", "rebase", "--quit"], check=False, capture_output=True)
    try:
        git("fetch", "--quiet", "origin", branch)
        git("rebase", "--quiet", "FETCH_HEAD", settings=OF_NO_PERSON)
    except GitError:
        subprocess.run(["git", "rebase", "--abort"], check=False, capture_output=True)
        return False
    if not stale.stale_stages(stale.dvc_status()) and _push(branch):
        return True
    git("reset", "--quiet", "--hard", results)
    return False


def _push_beside(branch: str) -> str:
    """Push the results to a branch of their own; return its name."""
    name = f"results/{branch}/{git('rev-parse', '--short', 'HEAD').strip()}"
    try:
        git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    except GitError as error:
        raise StudyError(
            f"{name}: cannot be pushed ({error}); the results are committed here and in the job's"
            " artifact"
        ) from None
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"results={name}\n")
    print(f"{branch} has moved, and the results do not belong to its new code")
    return name


if __name__ == "__main__":
    sys.exit(run_command(main))
