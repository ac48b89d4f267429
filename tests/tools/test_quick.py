"""The scratch copy: the files that it copies, and the parameters that it shortens."""

import subprocess
from pathlib import Path

import pytest

from tests.support.dvc_repository import PYTHON, call
from tests.support.study import ROOT
from tools import quick
from vanishing.params.diagnose import Params
from vanishing.params.load import load


def test_the_copy_holds_edits_and_new_files_but_nothing_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    for name, content in {".gitignore": "out\n", "a": "old", "b/c d": "kept", "gone": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run(["git", "add", "."], check=True)
    (tmp_path / "a").write_text("edited")
    (tmp_path / "new").write_text("new")
    (tmp_path / "out").write_text("ignored")
    (tmp_path / "gone").unlink()
    quick.copy_working_tree(tmp_path / "out.copy")
    copied = {
        path.relative_to(tmp_path / "out.copy").as_posix(): path.read_text()
        for path in (tmp_path / "out.copy").rglob("*")
        if path.is_file()
    }
    assert copied == {".gitignore": "out\n", "a": "edited", "b/c d": "kept", "new": "new"}


def test_the_copy_shares_the_cache_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "it's #1, 100 % ñ" / "cache"
    call(tmp_path, "git", "init", "-q")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(f'[cache]\n    dir = "{cache}"\n', "utf-8")
    copy = tmp_path / "copy"
    call(tmp_path, "git", "init", "-q", "copy")
    (copy / ".dvc").mkdir()
    quick.share_cache(copy)
    (copy / "file").write_text("content")
    call(copy, *PYTHON, "dvc", "add", "-q", "file")
    assert [path.read_text() for path in cache.rglob("*") if path.is_file()] == ["content"]


def test_every_variant_is_kept_for_one_epoch(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    quick.shorten(path)
    whole, short = load(Params, ROOT / "params.yaml"), load(Params, path)
    assert short.train.epochs == 1
    assert short.training("sigmoid").snapshots == (0, 1)
    assert short.variants == whole.variants
    assert short.data.train_examples < whole.data.train_examples
    assert short.extract.init_seeds < whole.extract.init_seeds
    assert short.expect == whole.expect
