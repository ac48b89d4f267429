"""Servers on loopback as processes that end with a test."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], folder: Path, port: int, page: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own, from when it answers until the end.

    Args:
        command: How it is started.
        folder: Its working directory, which gets its log.
        port: Where it listens.
        page: The path of a page that it gives once it is ready.
        **variables: Of its environment, besides those of this process.

    Yields:
        The server's process.
    """
    log = folder / "server.log"
    with log.open("ab") as file:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | variables,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(port, page):
            assert time.monotonic() < deadline, log.read_text()
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        yield server
    finally:
        kill(server)


def kill(server: subprocess.Popen[bytes]) -> None:
    """Kill the server and its workers."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def answers(port: int, page: str) -> bool:
    """Return whether a server gives a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=1):
            return True
    except OSError:
        return False
