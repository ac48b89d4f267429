"""The copy of a workspace: its list of files, packed whole, unpacked inside one folder."""

import io
import tarfile
import tempfile
from pathlib import Path

import pytest

from cluster.sharing import Sharing
from cluster.workspace import configure, pack, sources, unpack, user_folder
from tests.support.dvc_repository import PYTHON, call
from vanishing.errors import StudyError


def test_sources_are_the_working_trees_files_that_git_does_not_ignore(tmp_path: Path) -> None:
    files = [".gitignore", "tracked", "folder/tracked", "deleted", "untracked", "data/ignored"]
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("/data/\n")
    (tmp_path / "link").symlink_to("tracked")
    (tmp_path / "folder/link to a folder").symlink_to("../data")
    call(tmp_path, "git", "init", "-q")
    call(tmp_path, "git", "add", "tracked", "folder", "deleted", "link")
    call(tmp_path, "git", "init", "-q", "submodule")
    (tmp_path / "deleted").unlink()
    listed = {".gitignore", "tracked", "folder/tracked", "untracked", "link"}
    assert sources(tmp_path) == listed
    assert sources(tmp_path / "folder") == {"tracked"}


def test_sources_outside_git_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"Git cannot list its files: fatal: not a git repository"):
        sources(tmp_path)


def test_an_unpacked_archive_equals_its_source(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "folder/inner").mkdir(parents=True)
    (source / "folder/inner/file").write_text("a")
    (source / "run").write_text("#!/bin/sh")
    (source / "run").chmod(0o755)
    (source / "folder/link").symlink_to("../run")
    copy.mkdir()
    (copy / "run").write_text("an older one, and longer")
    unpack(pack(source, {"folder", "run", "missing"}), copy)
    assert (copy / "folder/inner/file").read_text() == "a"
    assert (copy / "folder/link").read_text() == (copy / "run").read_text() == "#!/bin/sh"
    assert (copy / "run").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in copy.iterdir()) == ["folder", "run"]


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("/outside", tarfile.REGTYPE, ""),
        ("a/../../outside", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.LNKTYPE, "../outside"),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_nothing_lands_outside(tmp_path: Path, name: str, kind: bytes, target: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member, io.BytesIO())
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(StudyError, match="no file or folder inside"):
        unpack(buffer.getvalue(), folder)
    assert list(tmp_path.rglob("*")) == [folder]


def test_the_copys_cache_is_the_shared_one_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, copy = tmp_path / "it's #1, 100 % ñ" / "cache", tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    configure(copy, Sharing(str(shared), {}), tmp_path / "scratch")
    (copy / "file").write_text("content")
    call(copy, *PYTHON, "dvc", "add", "-q", "file")
    assert [path.read_text() for path in shared.rglob("*") if path.is_file()] == ["content"]


def test_an_existing_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("kept")
    (folder / "file").symlink_to(tmp_path / "outside")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("file"), io.BytesIO())
    with pytest.raises(StudyError, match="no file or folder inside"):
        unpack(buffer.getvalue(), folder)
    assert (tmp_path / "outside").read_text() == "kept"


def test_a_folder_that_another_user_has_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = user_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "theirs").mkdir()
    folder.symlink_to(tmp_path / "theirs")
    with pytest.raises(StudyError, match=r"is not a folder of this user's; remove it, or set TMPD"):
        user_folder()
