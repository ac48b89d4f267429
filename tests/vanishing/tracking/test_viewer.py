"""A viewer is recognised while it runs."""

import os
import subprocess
import sys

from tests.support.processes import until
from vanishing.tracking import viewer


def test_only_a_running_viewer_is_taken_for_one() -> None:
    assert not viewer.is_running(viewer.describe())  # this process shows no training
    assert not viewer.is_running("")
    command = [sys.executable, "-c", "input()", viewer.LIVE_MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        description = f"{os.uname().nodename}:{process.pid}"
        until(lambda: viewer.is_running(description))
    assert not viewer.is_running(description)


def test_a_viewer_of_another_machine_may_be_running() -> None:
    assert viewer.is_running("another-machine:1")
