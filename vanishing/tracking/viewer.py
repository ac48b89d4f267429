"""The process that shows a training run in MLflow while it runs: started and recognised here."""

import os
import subprocess
import sys
from pathlib import Path

LIVE_MODULE = "vanishing.tracking.live"


def start(variant: str, seed: int) -> "subprocess.Popen[bytes]":
    """Start the viewer of a training run; it ends when its standard input closes."""
    command = [sys.executable, "-m", LIVE_MODULE, variant, str(seed)]
    return subprocess.Popen(  # noqa: S603 - a variant and a seed of params.yaml
        command,
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for training; the viewer then closes the run
    )


def describe() -> str:
    """Return the host and the process id of this process."""
    return f"{os.uname().nodename}:{os.getpid()}"


def is_running(process: str) -> bool:
    """Return whether a viewer may still be running.

    Args:
        process: As `describe` returned it there; "" if it is not known.

    Returns:
        Whether this machine runs a viewer with this id. True for another machine, whose processes
        cannot be seen from here.
    """
    host, _, pid = process.partition(":")
    if not pid:
        return False
    if host != os.uname().nodename:
        return True
    try:
        return LIVE_MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
