"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from vanishing.files import read_json, replacing, write_json, write_text


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
