"""Fixtures: two results that are the same, until a test changes one."""

import pytest

from tests.support.made_up_results import Files


@pytest.fixture
def old() -> Files:
    """Give results."""
    return Files()


@pytest.fixture
def new() -> Files:
    """Give the same results, to change."""
    return Files()
