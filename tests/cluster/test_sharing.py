"""How results travel: tried before any work begins."""

from pathlib import Path

import pytest

from cluster.sharing import find_sharing
from tests.cluster.toy import set_remote
from vanishing.errors import StudyError


def test_one_machine_shares_its_cache_folder(project: Path) -> None:
    sharing = find_sharing(project, several_machines=False)
    assert sharing.remote == {}
    assert Path(sharing.cache) == project / ".dvc/cache"


def test_machines_share_the_default_remote(project: Path, tmp_path: Path) -> None:
    set_remote(project, str(tmp_path / "remote"))
    sharing = find_sharing(project, several_machines=True)
    assert sharing.cache == ""
    assert sharing.remote["name"] == "store"
    assert sharing.remote["settings"]["url"] == str(tmp_path / "remote")
    assert [path for path in (tmp_path / "remote").rglob("*") if path.is_file()] == []


def test_machines_without_a_remote_are_refused(project: Path) -> None:
    with pytest.raises(StudyError, match="needs a DVC remote that all its machines reach"):
        find_sharing(project, several_machines=True)


@pytest.mark.parametrize("url", ["/dev/null/remote", "s3://no-such-bucket/remote"])
def test_a_remote_out_of_reach_is_refused(project: Path, url: str) -> None:
    set_remote(project, url)
    with pytest.raises(StudyError) as error:
        find_sharing(project, several_machines=True)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"the DVC remote store ({url}) cannot be reached: ")
