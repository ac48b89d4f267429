"""What travels between machines: packed whole, unpacked nowhere else."""

import io
import tarfile
import tempfile
from pathlib import Path

import pytest

from cluster.workspace import user_folder, pack, unpack
from vanishing.errors import StudyError


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "folder/inner").mkdir(parents=True)
    (here / "folder/inner/file").write_text("a")
    (here / "run").write_text("#!/bin/sh")
    (here / "run").chmod(0o755)
    (here / "link").symlink_to("run")
    there.mkdir()
    (there / "run").write_text("an older one, and longer")
    unpack(pack(here, {"folder", "run", "link", "missing"}), there)
    assert (there / "folder/inner/file").read_text() == "a"
    assert (there / "link").read_text() == (there / "run").read_text() == "#!/bin/sh"
    assert (there / "run").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in there.iterdir()) == ["folder", "link", "run"]


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


def test_what_stands_there_as_a_link_is_not_followed(tmp_path: Path) -> None:
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


def test_a_folder_that_somebody_else_has_prepared_is_refused(
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
