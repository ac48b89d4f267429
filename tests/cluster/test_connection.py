"""Ray at an address; tests/cluster/test_machines.py has a cluster that answers."""

from pathlib import Path

import pytest

from cluster.connection import connect, import_ray
from vanishing.errors import StudyError


def test_a_ray_that_cannot_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("a-long-name" * 9)  # longer than the path of a socket may be
    folder.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    with pytest.raises(StudyError) as error:
        connect(import_ray(), jobs=1, address=None)
    (line,) = str(error.value).splitlines()
    assert line.startswith("Ray cannot start here: ")
    assert line.endswith("RAY_TMPDIR=/tmp/me")


def test_an_address_where_nothing_listens_is_refused() -> None:
    with pytest.raises(StudyError) as error:
        connect(import_ray(), jobs=None, address="127.0.0.1:1")
    (line,) = str(error.value).splitlines()
    assert line.startswith("no Ray cluster at 127.0.0.1:1: ")
