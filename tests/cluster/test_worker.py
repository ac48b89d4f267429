"""The parts of a worker that need no Ray; tests/cluster/test_main.py runs stages with it."""

import platform
from importlib import metadata

from cluster.worker import Starts, versions


def test_versions_are_those_of_the_packages_that_an_import_finds() -> None:
    installed = versions()
    assert installed["python"] == platform.python_version()
    assert installed["dvc"] == metadata.version("dvc")
    assert all(name == name.lower() for name in installed)


def test_a_start_is_reported_once() -> None:
    starts = Starts()
    starts.add("train@relu-0", "host")
    assert starts.take() == [("train@relu-0", "host")]
    assert starts.take() == []
