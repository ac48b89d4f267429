"""The folder of a watched training."""

from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.results.watched import begin, join, read_run, table_path, write_parts


def columns(first: int) -> dict[str, list[float | None]]:
    """Return the columns of two losses."""
    return {"epoch": [None, None], "step": [first, first + 1], "loss": [0.5, 0.25]}


def test_parts_are_read_in_their_order_and_joined_to_the_same_rows(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    begin(folder, {})
    for part in range(1, 12):
        write_parts(folder, part, {"losses": [columns(4 * part), columns(4 * part + 2)]})
    parts = read_run(folder, "losses")
    assert parts["step"].tolist() == list(range(4, 48))
    assert set(parts["variant"]) == {"mine"}
    join(folder)
    assert read_run(folder, "losses").equals(parts)
    assert list(folder.glob("losses-*")) == []


def test_parts_that_a_kill_left_beside_the_whole_table_count_once(tmp_path: Path) -> None:
    begin(tmp_path, {})
    write_parts(tmp_path, 1, {"losses": [columns(1)]})
    part = table_path(tmp_path, "losses", 1).read_bytes()
    join(tmp_path)
    table_path(tmp_path, "losses", 1).write_bytes(part)
    assert read_run(tmp_path, "losses")["step"].tolist() == [1, 2]


def test_a_run_without_a_flush_has_empty_tables(tmp_path: Path) -> None:
    begin(tmp_path, {})
    assert list(read_run(tmp_path, "losses")) == ["variant", "seed", "epoch", "step", "loss"]
    assert read_run(str(tmp_path), "trace").empty


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no run"):
        read_run(tmp_path, "trace")
    begin(tmp_path, {})
    with pytest.raises(StudyError, match=r"loses is no table of a run \(did you mean losses\?\)"):
        read_run(tmp_path, "loses")
    table_path(tmp_path, "losses", 1).write_bytes(b"half")
    with pytest.raises(StudyError, match=r"losses-0001\.parquet: cannot be read"):
        read_run(tmp_path, "losses")
