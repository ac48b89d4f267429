"""Buckets of a server on loopback that speaks S3 (moto's), and DVC remotes in them."""

import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.support.servers import running

KEYS = {"access_key_id": "a-key", "secret_access_key": "a-secret"}  # any will do
VARIABLES = {f"AWS_{name.upper()}": key for name, key in KEYS.items()}


def serving(port: int, folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run the server on a port of 127.0.0.1; its buckets are gone with it."""
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    return running(command, folder, port, "/moto-api/")


@contextmanager
def refusing_keys(port: int) -> Iterator[None]:
    """Let the server refuse every key that it has not given out itself, so all of them."""
    _set_free_requests(port, "0")
    try:
        yield
    finally:
        _set_free_requests(port, "inf")


def _set_free_requests(port: int, number: str) -> None:
    """Say how many requests the server answers before it looks at keys."""
    address = f"http://127.0.0.1:{port}/moto-api/reset-auth"
    header = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(address, number.encode(), header)).close()


class Bucket:
    """A new bucket.

    Attributes:
        settings: Of a DVC remote in it: its address, and its server's.
    """

    def __init__(self, port: int) -> None:
        """Create it on the server at a port of 127.0.0.1."""
        self._name = f"bucket-{uuid.uuid4().hex}"
        address = f"http://127.0.0.1:{port}"
        self.settings = {"url": f"s3://{self._name}/study", "endpointurl": address}
        import boto3  # noqa: PLC0415 - slow, and seldom needed

        self._client: Any = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            **{f"aws_{name}": key for name, key in KEYS.items()},
        )
        self._client.create_bucket(Bucket=self._name)

    def keys(self) -> list[str]:
        """Return the names of its objects, the first thousand at the most."""
        listed = self._client.list_objects_v2(Bucket=self._name)
        return [entry["Key"] for entry in listed.get("Contents", ())]
