"""The pages of all studies in one folder, for GitHub Pages."""

from pathlib import Path

import pytest

from tools import site
from vanishing.errors import StudyError


@pytest.fixture(autouse=True)
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give two studies that have run and one that has not, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "studies/depth"):
        (folder / "reports").mkdir(parents=True)
        (folder / "dvc.lock").touch()
        (folder / "reports/index.html").write_text(folder.name)
    (tmp_path / "studies/planned").mkdir()
    return tmp_path


def test_each_study_has_its_page(studies: Path) -> None:
    (studies / "site/studies/gone").mkdir(parents=True)
    site.main([])
    pages = {
        path.relative_to(studies / "site").as_posix(): path.read_text()
        for path in (studies / "site").rglob("*")
        if path.is_file()
    }
    assert pages == {"index.html": studies.name, "studies/depth/index.html": "depth"}
    assert not (studies / "site/studies/gone").exists()


def test_a_missing_page_is_named_before_anything_is_written(studies: Path) -> None:
    (studies / "studies/depth/reports/index.html").unlink()
    with pytest.raises(StudyError, match=r"studies/depth/reports/index\.html: is not there"):
        site.main([])
    assert not (studies / "site").exists()
