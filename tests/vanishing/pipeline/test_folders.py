"""Folders of results that are links: inside of the study's folder, or to another disk."""

from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.pipeline.folders import check_folders


def test_folders_and_links_within_the_study_are_accepted(workspace: Path) -> None:
    check_folders()
    (workspace / "large").mkdir()
    (workspace / "data").symlink_to("large")
    check_folders()


@pytest.mark.parametrize("name", ["data", "data/raw", "models", "reports"])
def test_a_link_to_another_disk_is_refused_with_what_does(workspace: Path, name: str) -> None:
    disk = workspace.parent / "disk"
    disk.mkdir(exist_ok=True)
    link = workspace / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(disk)
    with pytest.raises(StudyError, match=rf"^{name}: is a link to .*disk, outside .*cache dir"):
        check_folders()
