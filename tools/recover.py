"""Clear away what a killed DVC left half-written: `python -m tools.recover`, before `dvc repro`.

In and out: .dvc/tmp/rwlock, where DVC notes who reads and writes what, and dvc.lock. DVC writes
both in place, so that a kill at the wrong moment, or a full disk, leaves the first part of them,
and every later command fails.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import run_command
from vanishing.files import write_text
from vanishing.paths import LOCK
from vanishing.pipeline.lifetime import DVC_NOTES

_REPOSITORY_LOCK = DVC_NOTES.with_name("lock")  # which DVC holds while it writes dvc.lock
_HEAD = b"schema: '2.0'\nstages:\n"
_STAGES = re.compile(rb"^(?=  \S)", re.MULTILINE)


def main(_argv: list[str]) -> None:
    """Mend what is damaged, unless a DVC is at work on it."""
    if not _notes_are_whole():
        with _locked(DVC_NOTES.with_name(f"{DVC_NOTES.name}.lock")) as free:
            if free and not _notes_are_whole():
                DVC_NOTES.unlink()
                print(f"{DVC_NOTES}: was cut off when a DVC was killed; removed")
    if LOCK.exists() and not whole(LOCK.read_bytes()):
        with _locked(_REPOSITORY_LOCK) as free:
            if free:
                _mend_lock()


def _notes_are_whole() -> bool:
    try:
        json.loads(DVC_NOTES.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _mend_lock() -> None:
    """Keep the stages that are whole in a dvc.lock that was cut off; leave other damage alone."""
    text = LOCK.read_bytes()
    if whole(text):  # by now
        return
    lines = text[: text.rfind(b"\n") + 1]
    head, *stages = _STAGES.split(lines)
    kept = lines if whole(lines) else b"".join([head, *stages[:-1]])
    if kept != head and whole(kept):
        write_text(LOCK, kept.decode())
    elif kept == head and _HEAD.startswith(head):
        LOCK.unlink()
    else:  # as by a merge: DVC says where
        return
    print(
        f"{LOCK}: was cut off when a DVC was killed, or the disk was full; stages that it lacks now"
        " are restored from the cache, or run again"
    )


def whole(text: bytes) -> bool:
    """Say whether a dvc.lock is one that DVC takes, to the end of its last line.

    DVC would take half a hash too, but would then run the stage without asking its cache for it.

    Returns:
        Whether it is.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # noqa: PLC0415 - slow, and not always needed
    from voluptuous import Invalid  # noqa: PLC0415

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, UnicodeDecodeError, Invalid):
        return False
    return text.endswith(b"\n")


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold one of DVC's locks; yield whether nobody else had it."""
    from dvc.lock import LockError, make_lock  # noqa: PLC0415 - a second, seldom needed

    lock = make_lock(str(path), tmp_dir=str(path.parent))
    try:
        lock.lock()
    except LockError:  # `dvc repro`, which follows, says so
        yield False
        return
    try:
        yield True
    finally:
        lock.unlock()


if __name__ == "__main__":
    sys.exit(run_command(main))
