"""Ray: started on this machine, or joined at an address."""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vanishing.errors import StudyError, in_one_line

PATIENCE_S = 10.0  # the longest to wait for a cluster to answer
SHIPPED = ("cluster", "vanishing")  # the packages that a worker imports from the driver's machine


def import_ray() -> Any:
    """Import Ray, which takes a second and is an extra.

    Returns:
        The module.

    Raises:
        StudyError: If it is not installed.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the default, unannounced
    try:
        import ray  # noqa: PLC0415
    except ModuleNotFoundError:
        raise StudyError(
            "Ray is not installed: `make setup`, or the extra `cluster` of pyproject.toml"
        ) from None
    return ray


def connect(ray: Any, jobs: int | None, address: str | None) -> float:
    """Start Ray on this machine, or join a cluster.

    Ray gives a task as many threads as it has CPUs: stages that run side by side share the cores.

    Args:
        ray: The module.
        jobs: Stages at a time on this machine; None for a cluster.
        address: Of the cluster; None for this machine.

    Returns:
        CPUs per stage.

    Raises:
        StudyError: If there is no cluster at the address, or Ray cannot start here.
    """
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if jobs is not None:
        cores = os.cpu_count() or 1
        cpus_per_stage: float = cores // jobs or cores / jobs
        cpus = max(1, round(cpus_per_stage * jobs))
        try:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"Ray cannot start here: {in_one_line(error)}; its sockets and logs are below"
                " TMPDIR, or else /tmp: name a folder with a short path that is yours, as in"
                " RAY_TMPDIR=/tmp/me"
            ) from None
        return cpus_per_stage
    parent = Path(__file__).parent.parent
    modules = [str(parent / name) for name in SHIPPED]
    try:
        _try_address(str(address))
        ray.init(address, runtime_env={"py_modules": modules}, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise StudyError(f"no Ray cluster at {address}: {in_one_line(error)}") from None
    return 1


def _try_address(address: str) -> None:
    """Open a connection and close it: Ray would wait without end where nothing listens."""
    url = urlsplit(address if "//" in address else f"//{address}")
    if url.port:
        socket.create_connection((url.hostname or "", url.port), PATIENCE_S).close()
