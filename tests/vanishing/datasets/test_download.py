"""Downloads: files are checked, the next source is tried, and every reason is named."""

import contextlib
import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.study import DIGITS, digit_checksums
from vanishing.datasets import sources
from vanishing.datasets.download import download
from vanishing.errors import StudyError
from vanishing.files import sha256

CHECKSUMS = digit_checksums()
NAMES = tuple(CHECKSUMS)


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


def test_a_wrong_file_never_takes_its_place_and_the_next_source_is_tried(tmp_path: Path) -> None:
    available = {"first": unreachable, "second": wrong, "third": good}
    download(tmp_path / "raw", CHECKSUMS, available)
    assert {path.name: sha256(path) for path in (tmp_path / "raw").iterdir()} == CHECKSUMS


def test_files_with_the_right_checksum_are_kept_and_nothing_is_fetched(tmp_path: Path) -> None:
    download(tmp_path, CHECKSUMS, {"good": good})
    download(tmp_path, CHECKSUMS, {"unreachable": unreachable})


def test_if_no_source_serves_the_files_each_is_listed_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        download(tmp_path / "raw", CHECKSUMS, {"a": unreachable, "b": wrong})
    lines = str(error.value).splitlines()
    assert "a: no route to host" in lines
    assert sum(line.startswith("b: ") and "SHA-256" in line for line in lines) == 4
    assert not (tmp_path / "raw").exists()


def test_a_file_of_another_checksum_is_named_with_its_checksum(tmp_path: Path) -> None:
    changed = CHECKSUMS | {"t10k-labels-idx1-ubyte": "0" * 64}
    with pytest.raises(StudyError, match="t10k-labels-idx1-ubyte has SHA-256 60e902e8"):
        download(tmp_path, changed, {"good": good})


def damaged(kind: str, content: bytes, other: bytes) -> bytes:
    """Return the content that a bad source serves in place of `content`."""
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
        download(tmp_path / "raw", CHECKSUMS, {"folder": bad_folder})
    for name, sha in CHECKSUMS.items():
        assert f"folder: {name} has SHA-256 " in str(error.value)
        assert f"not {sha}; deleted" in str(error.value)
    assert not (tmp_path / "raw").exists()
    download(tmp_path / "raw", CHECKSUMS, {"folder": bad_folder, "good": good})
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == sorted(NAMES)


def test_a_truncated_gzip_file_and_a_page_in_its_place_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        content = (DIGITS / f"{name}.gz").read_bytes()
        (tmp_path / f"{name}.gz").write_bytes(content[:-9] if number % 2 else b"<html>")

    def bad(scratch: Path, names: list[str]) -> None:
        for name in names:
            sources.from_folder(str(tmp_path), scratch, [name])

    with pytest.raises(StudyError, match=r"bad: .*Not a gzipped file"):
        download(tmp_path / "raw", CHECKSUMS, {"bad": bad})


class Mirror(BaseHTTPRequestHandler):
    """Serves a little at a time without end, or stops answering, or has nothing."""

    def do_GET(self) -> None:
        """Answer in the manner that the path names."""
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
        ("trickle", "was not downloaded after 1 s"),
        ("flood", "sends more than 20,000,000 bytes"),
        ("nothing", "404"),
    ],
)
def test_a_mirror_that_sends_without_end_is_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: str, path: str, reason: str
) -> None:
    monkeypatch.setattr(sources, "LARGEST_BYTES", 20_000_000)
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(sources, "PATIENCE_S", 1)

    def bad(scratch: Path, names: list[str]) -> None:
        sources.from_url(f"{mirror}/{path}", scratch, names)

    begun = time.monotonic()
    with pytest.raises(StudyError, match=reason):
        download(tmp_path / "raw", CHECKSUMS, {"mirror": bad})
    assert time.monotonic() - begun < 5  # it would never end
    download(tmp_path / "raw", CHECKSUMS, {"mirror": bad, "good": good})
