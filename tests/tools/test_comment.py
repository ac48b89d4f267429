"""The pull request's one comment, against a server that answers as GitHub's does."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tools import comment
from tools.review import MARKER
from vanishing.errors import StudyError

COMMENTS = "/repos/someone/study/issues/7/comments"


class GitHub(ThreadingHTTPServer):
    """Keeps comments."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: dict[int, str] = {}
        self.tokens: set[str | None] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers the three calls that are made."""

    server: GitHub

    def do_GET(self) -> None:
        """List the comments of a page."""
        url = urlsplit(self.path)
        assert url.path == COMMENTS
        query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        start = (query["page"] - 1) * query["per_page"]
        listed = list(self.server.comments.items())[start : start + query["per_page"]]
        self._answer(200, [{"id": id_, "body": body} for id_, body in listed])

    def do_POST(self) -> None:
        """Create a comment."""
        assert self.path == COMMENTS
        self.server.comments[len(self.server.comments) + 1] = self._body()
        self._answer(201, {})

    def do_PATCH(self) -> None:
        """Change a comment."""
        found = re.fullmatch(r"/repos/someone/study/issues/comments/(\d+)", self.path)
        assert found
        self.server.comments[int(found[1])] = self._body()
        self._answer(200, {})

    def _body(self) -> str:
        length = int(self.headers["Content-Length"])
        return str(json.loads(self.rfile.read(length))["body"])

    def _answer(self, status: int, content: object) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """Give a server, with the environment that GitHub Actions sets."""
    server = GitHub()
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/study")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("PULL_REQUEST", "7")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_comment_is_created_and_then_changed(github: GitHub, tmp_path: Path) -> None:
    github.comments = {i: f"comment {i} of people, on {MARKER}" for i in range(1, 251)}
    file = tmp_path / "review.md"
    for text in ("first", "second"):
        file.write_text(f"{MARKER}\n{text}")
        comment.main([str(file)])
    assert len(github.comments) == 251
    assert github.comments[251] == f"{MARKER}\nsecond"
    assert github.tokens == {"Bearer secret"}


def test_what_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULL_REQUEST", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/study")
    (tmp_path / "review.md").write_text(MARKER)
    with pytest.raises(StudyError, match="PULL_REQUEST: not set"):
        comment.main([str(tmp_path / "review.md")])


def test_a_refusal_is_told(github: GitHub, tmp_path: Path) -> None:
    github.shutdown()
    github.server_close()
    (tmp_path / "review.md").write_text(MARKER)
    with pytest.raises(StudyError, match="GitHub: "):
        comment.main([str(tmp_path / "review.md")])
