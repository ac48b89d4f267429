"""How results travel: tried before any work begins."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from dvc.repo import Repo

from cluster.sharing import find_sharing, try_remote
from tests.support.dvc_repository import set_remote
from tests.support.s3_server import KEYS, Bucket, refusing_keys
from tests.support.servers import free_port
from vanishing.errors import StudyError


def test_one_machine_shares_its_cache_folder(project: Path) -> None:
    sharing = find_sharing(project, several_machines=False)
    assert sharing.remote == {}
    assert Path(sharing.cache) == project / ".dvc/cache"


def test_machines_share_the_default_remote(project: Path, tmp_path: Path) -> None:
    set_remote(project, {"url": str(tmp_path / "remote")}, "local")
    sharing = find_sharing(project, several_machines=True)
    assert sharing.cache == ""
    assert sharing.remote["name"] == "store"
    assert sharing.remote["settings"]["url"] == str(tmp_path / "remote")
    assert [path for path in (tmp_path / "remote").rglob("*") if path.is_file()] == []


def test_machines_without_a_remote_are_refused(project: Path) -> None:
    with pytest.raises(StudyError, match="needs a DVC remote that all its machines reach"):
        find_sharing(project, several_machines=True)


REASONS = {  # {cause: what is printed}
    "a file": "Not a directory",
    "no package": "gs is supported, but requires 'dvc-gs' to be installed",
    "no keys": "Unable to locate credentials",
    "wrong keys": "The AWS Access Key Id you provided does not exist in our records",
    "no bucket": "The specified bucket does not exist",
    "no server": "Could not connect to the endpoint URL",
    "no answer": "no answer within 1 s",
}


@contextmanager
def broken_remote(cause: str, bucket: Bucket, port: int) -> Iterator[dict[str, str]]:
    """Give the settings of a remote that does not work, for a cause of REASONS."""
    settings = bucket.settings | KEYS
    refusing = refusing_keys(port) if cause == "wrong keys" else nullcontext()
    with refusing, socket.create_server(("127.0.0.1", 0)) as silent:
        yield {
            "a file": {"url": "/dev/null/remote"},
            "no package": {"url": "gs://bucket/remote"},
            "no keys": bucket.settings,
            "wrong keys": settings,
            "no bucket": settings | {"url": "s3://no-such-bucket/remote"},
            "no server": settings | {"endpointurl": f"http://127.0.0.1:{free_port()}"},
            "no answer": settings | {"endpointurl": f"http://127.0.0.1:{silent.getsockname()[1]}"},
        }[cause]


@pytest.mark.parametrize("verb", ["read", "written"])
@pytest.mark.parametrize("cause", REASONS)
def test_a_remote_that_does_not_work_is_refused_in_a_line(
    project: Path, bucket: Bucket, s3_port: int, cause: str, verb: str
) -> None:
    with broken_remote(cause, bucket, s3_port) as settings:
        set_remote(project, settings, "local")
        with Repo(str(project)) as repo, pytest.raises(StudyError) as error:
            try_remote(repo, verb == "written", limit_s=1 if cause == "no answer" else 60)
    (line,) = str(error.value).splitlines()
    assert f"({settings['url']}) cannot be {verb}: " in line
    assert REASONS[cause] in line
    assert line.endswith("(docs/ci.md, A DVC remote)")


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_an_empty_remote_works(project: Path, bucket: Bucket, tmp_path: Path, kind: str) -> None:
    folder = {"url": str(tmp_path / "remote")}
    set_remote(project, folder if kind == "folder" else bucket.settings | KEYS, "local")
    with Repo(str(project)) as repo:
        try_remote(repo, to_write=False)
        try_remote(repo, to_write=True)
    assert bucket.keys() == []


def test_a_remote_that_is_not_the_default_is_no_remote(project: Path) -> None:
    set_remote(project, {"url": "anywhere"}, "local")
    with (
        Repo(str(project), config={"core": {"remote": ""}}) as repo,
        pytest.raises(StudyError) as error,
    ):
        try_remote(repo, to_write=True)
    assert "dvc remote default NAME" in str(error.value)
