"""Files: written whole or not at all, read, and told apart."""

import hashlib
from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.files import digest, read_json, replacing, sha256, write_json, write_text


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "folder" / "file", "α")
    assert (tmp_path / "folder" / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "folder" / "file").read_text(encoding="utf-8") == "α"


def test_json_comes_back_and_nan_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None, 0.1]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None, 0.1]}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"é": [1, None, 0.1]}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(StudyError, match=rf"^{tmp_path}/file/inner: cannot be written: .+$"):
        write_text(tmp_path / "file" / "inner", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_temporary_file_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_text("half")
    write_text(tmp_path / "file", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "whole"


def test_the_sha256_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_digest_tells_contents_apart_but_not_orders_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert len({digest(content) for content in ({"a": 1}, {"a": "1"}, ["a", 1], None)}) == 4
