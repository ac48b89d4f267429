"""The outputs of variants and seeds that params.yaml no longer has: removed, if DVC has them.

DVC leaves the outputs of a removed stage in place. In data/ they would count as a part of the
folders that later stages depend on, so that dvc.lock would differ from a fresh clone's.

A folder is a leftover if DVC has a record (in dvc.lock or in its run cache) that a stage wrote this
folder with this content, and if its cache has all of it. Any other folder is somebody's own.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from vanishing.errors import StudyError
from vanishing.paths import INITIALISATION, LOCK, MODELS, STATISTICS, TRAINING, run_folder
from vanishing.pipeline.lock import output_digest

_BY_SEED = (MODELS, TRAINING, STATISTICS)


class Cache(NamedTuple):
    """DVC's cache.

    Attributes:
        objects: The folder of all contents that DVC keeps, by MD5.
        texts: Of DVC's records of stages that ran: the run cache and dvc.lock.
    """

    objects: Path
    texts: list[str]

    def has(self, md5: str) -> bool:
        """Return whether a content can be restored; the MD5 of a folder ends with `.dir`."""
        path = self.objects / md5[:2] / md5[2:]
        if not path.is_file():
            return False
        if not md5.endswith(".dir"):
            return True
        return all(self.has(file["md5"]) for file in YAML(typ="safe").load(path))

    def records(self, folder: Path) -> set[str]:
        """Return the MD5 of each content with which a stage wrote a folder."""
        line = f"path: {folder.as_posix()}\n"
        records = [YAML(typ="safe").load(text) for text in self.texts if line in text]
        return {
            out["md5"]
            for record in records  # dvc.lock has many stages, a record of the run cache is one
            for stage in record.get("stages", {"": record}).values()
            for out in stage.get("outs", [])
            if out["path"] == folder.as_posix() and "md5" in out
        }


def remove_leftovers(variants: Iterable[str], seeds: Iterable[int]) -> None:
    """Remove the stages' outputs that belong to no variant and seed of params.yaml.

    Links whose file is gone from the cache, as `dvc gc` leaves them, are removed as well.

    Args:
        variants: Those of params.yaml.
        seeds: Those of params.yaml.

    Raises:
        StudyError: If there is anything else in a folder that a stage depends on as a whole.
    """
    runs = [(variant, seed) for variant in variants for seed in seeds]
    current = {run_folder(folder, *run) for folder in _BY_SEED for run in runs}
    current |= {INITIALISATION / variant for variant, _ in runs}
    others = [path for path in _outputs() if path not in current]
    if not others:
        return
    cache = _find_cache()
    foreign = [path for path in others if not _remove(path, cache) and MODELS not in path.parents]
    if foreign:
        names = ", ".join(map(str, foreign))
        raise StudyError(
            f"{names}: of no variant and seed of params.yaml, and not as a stage wrote it, or in no"
            " cache; move it elsewhere, since the results would depend on it"
        )


def _outputs() -> Iterator[Path]:
    """Yield what is where a stage has its output: of each variant and seed, or of each variant."""
    for parent in (*_BY_SEED, INITIALISATION):
        for path in sorted(parent.glob("*")):
            is_of_seeds = parent in _BY_SEED and path.is_dir() and not path.is_symlink()
            yield from sorted(path.glob("*")) if is_of_seeds else [path]


def _remove(path: Path, cache: Cache | None) -> bool:
    """Remove an output that the cache can restore.

    Returns:
        Whether it was removed.
    """
    if cache is None or path.is_symlink() or not path.is_dir():
        return False
    links = [file for file in path.rglob("*") if file.is_symlink() and not file.exists()]
    for link in links:
        if cache.objects in link.readlink().parents:
            link.unlink()
    if any(file.is_symlink() or not file.is_dir() for file in path.rglob("*")):
        md5 = output_digest(path)
        if md5 not in cache.records(path) or not cache.has(md5):
            return False
    elif not links:
        return False
    shutil.rmtree(path)
    if not any(path.parent.iterdir()) and path.parent not in {*_BY_SEED, INITIALISATION}:
        path.parent.rmdir()
    return True


def _find_cache() -> Cache | None:
    """Return DVC's cache; None outside of a DVC repository."""
    from dvc.exceptions import NotDvcRepoError  # noqa: PLC0415 - slow, and seldom needed
    from dvc.repo import Repo  # noqa: PLC0415

    try:
        with Repo() as repo:
            objects, runs = Path(repo.cache.local.path).resolve(), Path(repo.stage_cache.cache_dir)
    except NotDvcRepoError:
        return None
    records = [path for path in (LOCK, *runs.rglob("*")) if path.is_file()]
    return Cache(objects, [path.read_text("utf-8") for path in records])
