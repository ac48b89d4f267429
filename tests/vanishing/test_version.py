"""The library's version."""

from packaging.version import Version

from vanishing.version import __version__


def test_the_version_is_one_that_installers_accept() -> None:
    assert str(Version(__version__)) == __version__
