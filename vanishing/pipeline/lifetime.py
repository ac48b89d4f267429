"""A stage ends with the DVC that runs it: a killed DVC would leave its stages running."""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NoReturn

import psutil

STAGE = "DVC_STAGE"  # DVC sets it for a stage's command: NAME, or NAME@KEY
DVC_NOTES = Path(".dvc/tmp/rwlock")  # the processes that DVC runs stages with
_INTERVAL_S = 0.5


def end_with_dvc() -> None:
    """End this process once DVC has ended, or a shell between DVC and this process."""
    ancestors = _ancestors_up_to_dvc()
    if not ancestors:  # this process is in a namespace of its own
        return
    noted = noted_processes()
    if noted and noted.isdisjoint(process.pid for process in ancestors):  # DVC has ended already
        _exit(min(noted))

    def watch() -> None:
        while all(map(_runs, ancestors)):
            time.sleep(_INTERVAL_S)
        _exit(next(process.pid for process in ancestors if not _runs(process)))

    threading.Thread(target=watch, daemon=True).start()


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _ancestors_up_to_dvc() -> list[psutil.Process]:
    """Return the processes above this one, up to the first that is not part of the stage."""
    ancestors = []
    for process in psutil.Process().parents():
        ancestors.append(process)
        with suppress(psutil.Error):  # it has ended, or is another user's: not a part of the stage
            if STAGE in process.environ():
                continue
        break
    return ancestors


def noted_processes() -> set[int]:
    """Return the ids of the processes that DVC has noted as those that run stages here.

    An orphan is adopted by another process, in a container by the first, which could be DVC as
    well. Only these notes tell the two cases apart.
    """
    folders = [Path.cwd(), *Path.cwd().parents]
    try:
        root = next(folder for folder in folders if (folder / ".dvc").is_dir())
        content = json.loads((root / DVC_NOTES).read_bytes())
        infos = [*content["write"].values(), *chain.from_iterable(content["read"].values())]
        return {info["pid"] for info in infos}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return set()  # there are no notes, or they are incomplete


def _exit(ended: int) -> NoReturn:
    """End this process and those that it started, since the process `ended` has ended.

    A process in a session of its own goes on: MLflow's viewer, which closes its run itself.
    """
    print(f"error: process {ended}, which ran this stage, has ended", file=sys.stderr)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) == os.getsid(0):
                child.kill()
    os._exit(1)
