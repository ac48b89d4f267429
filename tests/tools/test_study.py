"""A new study: a copy of params.yaml, and a link to dvc.yaml."""

from pathlib import Path

import pytest

from tests.support.study import ROOT
from tools import study
from vanishing.errors import StudyError
from vanishing.params.diagnose import Params
from vanishing.params.load import load


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository's root with the project's parameters, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def test_a_study_has_the_parameters_of_the_root_and_leads_back_to_it(root: Path) -> None:
    study.main(["depths-2"])
    folder = root / "studies/depths-2"
    assert sorted(path.name for path in folder.iterdir()) == ["dvc.yaml", "params.yaml"]
    assert (folder / "dvc.yaml").readlink() == Path("../../dvc.yaml")
    assert (folder / "dvc.yaml").read_bytes() == (root / "dvc.yaml").read_bytes()
    params, of_root = load(Params, folder / "params.yaml"), load(Params)
    assert (folder / params.root).resolve() == root
    assert (folder / params.code).resolve() == root / of_root.code
    assert (folder / params.claims).resolve() == root / of_root.claims
    assert params.is_of_article
    assert not params.is_repeated
    same = {key: getattr(of_root, key) for key in ("root", "code", "claims", "repeated_by")}
    assert params.model_copy(update=same) == of_root
    comments = [line.count("#") for line in (root / "params.yaml").read_text().splitlines()]
    assert [
        line.count("#") for line in (folder / "params.yaml").read_text().splitlines()
    ] == comments


@pytest.mark.parametrize("name", ["", "Depths", "../depths", "a/b", "-h", "a b", "a;b", "ä", "a\n"])
def test_a_name_that_is_no_safe_word_is_refused(root: Path, name: str) -> None:
    with pytest.raises(StudyError, match="should be lower-case letters, digits and hyphens"):
        study.main([name])
    assert not (root / "studies").exists()


def test_a_study_is_never_overwritten(root: Path) -> None:
    study.main(["depths"])
    (root / "studies/depths/params.yaml").write_text("mine")
    with pytest.raises(StudyError, match="studies/depths: exists already"):
        study.main(["depths"])
    assert (root / "studies/depths/params.yaml").read_text() == "mine"
