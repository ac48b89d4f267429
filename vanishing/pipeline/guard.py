"""How a stage runs under DVC: not longer than DVC, and on what DVC is going to write down.

After a stage has ended DVC hashes its dependencies as they are then. Were one edited meanwhile,
dvc.lock would pair new parameters with old results. So a stage fails if what it depends on is not
what it was when it began.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, run_command
from vanishing.params.base import PATH

STAGE = "DVC_STAGE"  # DVC sets it for a stage's command: NAME or NAME@KEY
_PIPELINE = Path("dvc.yaml")
_LOOK_EVERY_S = 0.5
DVC_NOTES = Path(".dvc/tmp/rwlock")  # which DVC reads and writes what, while it runs a stage


def run_stage(main: Callable[[list[str]], None]) -> int:
    """Call a stage's `main` with the command line's arguments; see `errors.run_command`.

    Returns:
        The exit status.
    """
    stage = os.environ.get(STAGE)
    if not stage:
        return run_command(main)
    _end_with_dvc()

    def watched(argv: list[str]) -> None:
        before = dependencies(stage)
        main(argv)
        after = dependencies(stage)
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        if changed:
            raise StudyError(
                f"{', '.join(changed)} changed while {stage} ran, so its results are not kept;"
                " run it again"
            )

    return run_command(watched)


def dependencies(stage: str) -> dict[str, Any]:
    """Return what dvc.yaml says that a stage depends on, as it is now.

    Returns:
        {file: (size, time of last change); parameter: value}; a folder is its files.

    Raises:
        StudyError: If params.yaml cannot be read.
    """
    name, _, key = stage.rpartition(":")[2].partition("@")
    entry = YAML(typ="safe").load(_PIPELINE)["stages"][name]
    entry = entry.get("do", entry)
    found: dict[str, Any] = {}
    for text in entry.get("deps", []):
        path = Path(text.replace("${key}", key))
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
    try:
        values = YAML(typ="safe").load(PATH)
    except (OSError, YAMLError) as error:
        raise StudyError(f"{PATH}: cannot be read: {' '.join(str(error).split())}") from None
    for text in entry.get("params", []):
        if isinstance(text, dict):  # {params.yaml: null}, all of it
            found[str(PATH)] = repr(values)
            continue
        value, parts = values, text.replace("${key}", key).split(".")
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        found[f"{PATH}: {'.'.join(parts)}"] = repr(value)  # NaN is not itself
    return found


def _end_with_dvc() -> None:
    """End this process once DVC, or a shell between the two, has ended: they do not do it."""
    watched = _up_to_dvc()
    if not watched:  # in a namespace of its own
        return
    noted = _noted()
    if noted and noted.isdisjoint(process.pid for process in watched):  # DVC is gone already
        _exit(min(noted))

    def watch() -> None:
        while all(map(_runs, watched)):
            time.sleep(_LOOK_EVERY_S)
        _exit(next(process.pid for process in watched if not _runs(process)))

    threading.Thread(target=watch, daemon=True).start()


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _up_to_dvc() -> list[psutil.Process]:
    """Return the processes above this one, up to the first that is not itself part of the stage."""
    found = []
    for process in psutil.Process().parents():
        found.append(process)
        with suppress(psutil.Error):  # another user's, so not started by DVC, or gone
            if STAGE in process.environ():
                continue
        break
    return found


def _noted() -> set[int]:
    """Return the processes that DVC has noted as those that run stages here.

    Where orphans are adopted by a process that could as well have started DVC, as by the first one
    in a container, only these notes tell the two apart.
    """
    try:
        notes = json.loads(DVC_NOTES.read_bytes())
        infos = [*notes["write"].values(), *chain.from_iterable(notes["read"].values())]
        return {info["pid"] for info in infos}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # there are none, or half
        return set()


def _exit(process: int) -> NoReturn:
    """End this process and what it started, but for MLflow's viewer, which closes its run itself.

    The viewer has a session of its own.
    """
    print(f"error: process {process}, which ran this stage, is gone", file=sys.stderr)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) == os.getsid(0):
                child.kill()
    os._exit(1)
