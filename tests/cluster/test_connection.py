"""Ray at an address; tests/cluster/test_machines.py has a cluster that answers."""

import pytest

from cluster.connection import connect, import_ray
from vanishing.errors import StudyError


def test_an_address_where_nothing_listens_is_refused() -> None:
    with pytest.raises(StudyError) as error:
        connect(import_ray(), jobs=None, address="127.0.0.1:1")
    (line,) = str(error.value).splitlines()
    assert line.startswith("no Ray cluster at 127.0.0.1:1: ")
