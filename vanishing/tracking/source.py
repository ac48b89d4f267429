"""What a run names as its source: the stage's script, and the commit."""

import subprocess

from vanishing.paths import LOCK, REPORTS, STAGES
from vanishing.tracking.tags import COMMIT, SOURCE, SOURCE_TYPE

DIRTY = "study.git.dirty"


def of_stage(stage: str) -> dict[str, str]:
    """Return tags with the script of a stage."""
    return {SOURCE: f"{STAGES}/{stage}.py", SOURCE_TYPE: "LOCAL"}


def commit(root: str) -> dict[str, str]:
    """Return tags with the commit, and whether any file that no stage writes differs from it.

    Args:
        root: Path to the root of the repository; all studies below it count.

    Returns:
        The tags; none where there is no Git, no repository or no commit.
    """
    written = [f":(exclude,glob){root}/**/{path}" for path in (LOCK, f"{REPORTS}/**")]
    try:
        name = _git("rev-parse", "HEAD").strip()
        changes = _git("status", "--porcelain", "-unormal", "--", root, *written)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {COMMIT: name, DIRTY: str(bool(changes)).lower()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, encoding="utf-8")
    return done.stdout
