"""Keep one comment of a pull request up to date: `python -m tools.comment FILE`.

In: a file that `tools.review` wrote, and what GitHub Actions sets: GITHUB_TOKEN, GITHUB_REPOSITORY,
GITHUB_API_URL, and PULL_REQUEST. Out: the comment that begins with the review's marker, changed, or
a new one where there is none.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import requests

from tools.review import MARKER
from vanishing.errors import StudyError, run_command

TIMEOUT_S = 30
PER_PAGE = 100


def main(argv: list[str]) -> None:
    """Create or change the comment.

    Raises:
        StudyError: If something that GitHub Actions sets is missing, or GitHub refuses.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.comment", description=__doc__)
    parser.add_argument("file", type=Path, help="what the comment should say")
    text = parser.parse_args(argv).file.read_text(encoding="utf-8")
    repository, number = variable("GITHUB_REPOSITORY"), variable("PULL_REQUEST")
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    comments = f"{api}/repos/{repository}/issues/{number}/comments"
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {variable('GITHUB_TOKEN')}"
        session.headers["Accept"] = "application/vnd.github+json"
        try:
            known = find(session, comments)
            if known is None:
                answer = session.post(comments, json={"body": text}, timeout=TIMEOUT_S)
            else:
                url = f"{api}/repos/{repository}/issues/comments/{known}"
                answer = session.patch(url, json={"body": text}, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise StudyError(f"GitHub: {error}") from None
    print(f"comment {'created' if known is None else 'changed'}")


def find(session: requests.Session, comments: str) -> int | None:
    """Return the id of the first comment that begins with the marker, if there is one."""
    page = 1
    while True:
        query = {"per_page": PER_PAGE, "page": page}
        answer = session.get(comments, params=query, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        for comment in found:
            if str(comment["body"]).startswith(MARKER):
                return int(comment["id"])
        if len(found) < PER_PAGE:
            return None
        page += 1


def variable(name: str) -> str:
    """Read an environment variable that has to be there."""
    value = os.environ.get(name)
    if not value:
        raise StudyError(f"{name}: not set; GitHub Actions sets it, or the workflow's `env` does")
    return value


if __name__ == "__main__":
    sys.exit(run_command(main))
