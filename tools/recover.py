"""Repair files that a killed DVC left: `python -m tools.recover`, before `dvc repro`.

In and out: .dvc/tmp/rwlock, where DVC notes which process reads and writes which path, and the
dvc.lock of every study. DVC writes these files in place, so that a kill in the middle, or a full
disk, leaves their first part, and every later command of DVC fails. So it does if another process
has the number of the killed one.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tools.studies import study_folders
from vanishing.errors import StudyError, run_command
from vanishing.files import write_text
from vanishing.paths import LOCK
from vanishing.pipeline.lifetime import DVC_NOTES, noted_processes

_NOTES_LOCK = DVC_NOTES.with_name(f"{DVC_NOTES.name}.lock")  # DVC holds it while it writes notes
_REPOSITORY_LOCK = DVC_NOTES.with_name("lock")  # DVC holds it while it writes dvc.lock
_HEAD = b"schema: '2.0'\nstages:\n"
_STAGES = re.compile(rb"^(?=  \S)", re.MULTILINE)


def main(_argv: list[str]) -> None:
    """Repair the damaged files of the repository, unless a DVC is at work on them."""
    root = repository_root()
    if _notes_are_left(root / DVC_NOTES):
        with _locked(root / _NOTES_LOCK) as free:
            if free and _notes_are_left(root / DVC_NOTES):
                (root / DVC_NOTES).unlink()
                print(f"{DVC_NOTES}: was left by a DVC that was killed; removed")
    for path in [folder / LOCK for folder in study_folders(root, LOCK)]:
        if path.exists() and not is_valid_lock(path.read_bytes()):
            with _locked(root / _REPOSITORY_LOCK) as free:
                if free and repair_lock(path):
                    print(
                        f"{path.relative_to(root)}: was cut off when a DVC was killed, or the disk"
                        " was full; stages that it lacks now are restored from the cache, or run"
                        " again"
                    )


def repository_root() -> Path:
    """Return the nearest folder with .dvc, from the working directory upwards.

    Raises:
        StudyError: If there is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise StudyError(f"{Path.cwd()}: no DVC repository here or above; run from a study's folder")


def _notes_are_left(path: Path) -> bool:
    """Tell whether DVC's notes were cut off, or no process that they name has written them.

    DVC compares numbers of processes alone. Once the machine or its container has started anew,
    another process may have the number, and DVC says without end that the path is busy.

    Returns:
        Whether they should be removed.
    """
    try:
        json.loads(path.read_bytes())
        written_s = path.stat().st_mtime
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    processes = noted_processes()
    return bool(processes) and not any(_ran(number, written_s) for number in processes)


def _ran(number: int, time_s: float) -> bool:
    """Tell whether a process runs, and ran at a time."""
    try:
        return psutil.Process(number).create_time() <= time_s
    except psutil.Error:
        return False


def repair_lock(path: Path) -> bool:
    """Keep the complete stages of a dvc.lock that was cut off.

    Args:
        path: The file. It is left alone if it is damaged in another way, such as by a merge; DVC
            then names the line.

    Returns:
        Whether it was repaired.
    """
    content = path.read_bytes()
    if is_valid_lock(content):  # another process has repaired it meanwhile
        return False
    lines = content[: content.rfind(b"\n") + 1]
    head, *stages = _STAGES.split(lines)
    kept = lines if is_valid_lock(lines) else b"".join([head, *stages[:-1]])
    if kept != head and is_valid_lock(kept):
        write_text(path, kept.decode())
        return True
    if kept == head and _HEAD.startswith(head):
        path.unlink()
        return True
    return False


def is_valid_lock(content: bytes) -> bool:
    """Tell whether a dvc.lock follows DVC's schema and ends with a line break.

    DVC also accepts a hash that was cut off, but would then run the stage without a look into its
    cache.

    Returns:
        Whether it does.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # noqa: PLC0415 - slow, and not always needed
    from voluptuous import Invalid  # noqa: PLC0415

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(content))
    except (YAMLError, UnicodeDecodeError, Invalid):
        return False
    return content.endswith(b"\n")


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold one of DVC's locks; yield False if another process has it."""
    from dvc.lock import LockError, make_lock  # noqa: PLC0415 - takes a second, seldom needed

    lock = make_lock(str(path), tmp_dir=str(path.parent))
    try:
        lock.lock()
    except LockError:  # the `dvc repro` that follows reports it
        yield False
        return
    try:
        yield True
    finally:
        lock.unlock()


if __name__ == "__main__":
    sys.exit(run_command(main))
