"""The download stage: checked before use, next source tried, every reason told."""

from pathlib import Path

import pytest

from stages import download
from stages.core import sources
from stages.core.errors import StudyError
from stages.core.params import section
from stages.core.params.whole import Params
from tests.tiny import DIGITS, digit_checksums, tiny_params, write_params


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
