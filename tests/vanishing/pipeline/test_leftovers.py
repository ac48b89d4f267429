"""Outputs of removed variants and seeds go if DVC can restore them; all else stays."""

import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from vanishing.errors import StudyError
from vanishing.files import write_text
from vanishing.pipeline.leftovers import remove_leftovers
from vanishing.pipeline.lock import output_digest

KEPT = [
    "data/initialisation/relu",
    "data/statistics/relu/seed-0",
    "data/training/relu/seed-0",
    "models/relu/seed-0",
]
REMOVED = [
    "data/initialisation/old",
    "data/statistics/old/seed-0",
    "data/statistics/relu/seed-1",
    "data/training/old/seed-0",
    "data/training/relu/seed-1",
    "models/old/seed-0",
    "models/relu/seed-1",
]
OBJECTS = Path(".dvc/cache/files/md5")


@pytest.fixture(autouse=True)
def _repository(workspace: Path) -> None:
    """Begin a DVC repository in the working directory, with an empty cache."""
    assert workspace.is_dir()
    Repo.init(no_scm=True).close()


def write_output(folder: str) -> Path:
    """Write a folder as a stage does, and keep it in the cache as DVC does, with its record."""
    path = Path(folder)
    write_text(path / "table.parquet", folder)
    write_text(path / "inner/weights", folder)
    listing = []
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        md5 = output_digest(file)
        listing.append({"md5": md5, "relpath": file.relative_to(path).as_posix()})
        cached(md5).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, cached(md5))
    md5 = output_digest(path)
    write_text(cached(md5), json.dumps(listing))
    record = Path(".dvc/cache/runs/aa") / md5 / "value"
    record.parent.mkdir(parents=True)
    YAML().dump({"cmd": "train", "outs": [{"path": folder, "md5": md5}]}, record)
    return path


def cached(md5: str) -> Path:
    """Return the path of a content in the cache."""
    return OBJECTS / md5[:2] / md5[2:]


def outputs() -> list[str]:
    """Return the folders with a table, in order."""
    return sorted(path.parent.as_posix() for path in Path().glob("[dm]*/**/table.parquet"))


def test_outputs_of_removed_variants_and_seeds_go_and_the_others_stay() -> None:
    for folder in KEPT + REMOVED:
        write_output(folder)
    remove_leftovers(["relu"], [0])
    assert outputs() == KEPT
    assert not Path("models/old").exists()
    assert not Path("data/training/relu/seed-1").exists()


def test_dvc_lock_is_a_record_as_well() -> None:
    path = write_output("models/old/seed-0")
    md5 = output_digest(path)
    shutil.rmtree(".dvc/cache/runs")
    stages = {"train@old-0": {"cmd": "train", "outs": [{"path": path.as_posix(), "md5": md5}]}}
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    remove_leftovers(["relu"], [0])
    assert outputs() == []


def test_a_copy_of_an_output_and_a_file_of_ones_own_are_left_alone() -> None:
    write_output("models/relu/seed-0")
    shutil.copytree("models/relu", "models/relu-before")
    write_text(Path("models/finetuned/weights.safetensors"), "precious")
    write_text(Path("models/notes.txt"), "precious")
    remove_leftovers(["relu"], [0])
    assert outputs() == ["models/relu-before/seed-0", "models/relu/seed-0"]
    assert Path("models/finetuned/weights.safetensors").exists()
    assert Path("models/notes.txt").exists()


@pytest.mark.parametrize("damage", ["edited", "added", "not in the cache", "partly in the cache"])
def test_an_output_that_the_cache_cannot_restore_is_left_alone(damage: str) -> None:
    path = write_output("models/old/seed-0")
    if damage == "edited":
        write_text(path / "table.parquet", "by hand")
    elif damage == "added":
        write_text(path / "notes.txt", "precious")
    elif damage == "not in the cache":
        shutil.rmtree(OBJECTS)
    else:
        cached(output_digest(path / "inner/weights")).unlink()
    before = output_digest(path)
    remove_leftovers(["relu"], [0])
    assert output_digest(path) == before


@pytest.mark.parametrize("folder", ["data/statistics/mine", "data/training/relu/seed-7"])
def test_a_folder_in_the_way_is_named_and_left_alone(folder: str) -> None:
    write_output("data/training/relu/seed-0")
    write_text(Path(folder) / "seed-0/notes.txt", "precious")
    with pytest.raises(StudyError, match=rf"^{folder}.*: of no variant and seed of params\.yaml"):
        remove_leftovers(["relu"], [0])
    assert Path(folder, "seed-0/notes.txt").read_text() == "precious"


def test_links_whose_file_is_gone_from_the_cache_go() -> None:
    path = write_output("data/training/old/seed-0")
    for file in [file for file in path.rglob("*") if file.is_file()]:
        target = cached(output_digest(file)).resolve()
        file.unlink()
        file.symlink_to(target)
    shutil.rmtree(OBJECTS)  # as `dvc gc` leaves it
    remove_leftovers(["relu"], [0])
    assert not path.parent.exists()


def test_somebody_elses_link_is_left_alone(tmp_path: Path) -> None:
    path = Path("models/old/seed-0")
    path.mkdir(parents=True)
    (path / "weights").symlink_to(tmp_path / "not mounted")
    remove_leftovers(["relu"], [0])
    assert (path / "weights").is_symlink()


def test_outside_of_a_repository_nothing_goes() -> None:
    write_output("models/old/seed-0")
    shutil.rmtree(".dvc")
    remove_leftovers(["relu"], [0])
    assert outputs() == ["models/old/seed-0"]


def test_a_study_without_results_has_no_leftovers() -> None:
    remove_leftovers(["relu"], [0])
    assert outputs() == []
