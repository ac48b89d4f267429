"""Send results to the DVC remote: `python -m tools.push`.

In: DVC's cache and its run cache. Out: the same in the remote, as far as it lacks them.
"""

import argparse
import subprocess
import sys

from dvc.repo import Repo

from cluster.sharing import try_remote
from vanishing.errors import StudyError, run_command


def main(argv: list[str]) -> None:
    """Send everything.

    Raises:
        StudyError: If the remote cannot be written, or DVC fails.
    """
    argparse.ArgumentParser(prog="python -m tools.push", description=__doc__).parse_args(argv)
    with Repo() as repo:
        if not repo.config["remote"]:
            print("no DVC remote is set up: nothing is sent (docs/ci.md)")
            return
        try_remote(repo, to_write=True)
    command = [sys.executable, "-m", "dvc", "push", "--run-cache"]
    if subprocess.run(command, check=False).returncode:
        raise StudyError("dvc push failed (see above); run it again: it sends only what is missing")


if __name__ == "__main__":
    sys.exit(run_command(main))
