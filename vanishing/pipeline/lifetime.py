"""A stage ends with DVC: DVC, when it is killed, leaves the stages that it started running."""

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
    """End this process once DVC has ended, or a shell between the two."""
    ancestors = _ancestors_up_to_dvc()
    if not ancestors:  # this process is in a namespace of its own
        return
    noted = _noted()
    if noted and noted.isdisjoint(process.pid for process in ancestors):  # DVC is gone already
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
        with suppress(psutil.Error):  # another user's, so not started by DVC, or gone
            if STAGE in process.environ():
                continue
        break
    return ancestors


def _noted() -> set[int]:
    """Return the processes that DVC has noted as running stages here.

    In a container, orphans are adopted by its first process, which could as well have started DVC.
    Only these notes tell the two apart.
    """
    folders = [Path.cwd(), *Path.cwd().parents]
    try:
        root = next(folder for folder in folders if (folder / ".dvc").is_dir())
        content = json.loads((root / DVC_NOTES).read_bytes())
        infos = [*content["write"].values(), *chain.from_iterable(content["read"].values())]
        return {info["pid"] for info in infos}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return set()  # there are no notes, or they are cut off


def _exit(process: int) -> NoReturn:
    """End this process and those that it started, except MLflow's viewer, which closes its run.

    The viewer has a session of its own.
    """
    print(f"error: process {process}, which ran this stage, is gone", file=sys.stderr)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) == os.getsid(0):
                child.kill()
    os._exit(1)
