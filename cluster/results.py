"""Results of stages that ran in another copy of the workspace, by way of DVC's cache and remote.

Three functions of DVC are private: how a stage's key in the run cache is computed, how an entry of
dvc.lock becomes outputs, and how dvc.lock is written. This module alone calls them.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.dvcfile import load_file
from dvc.fs import generic
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage
from dvc.stage.cache import _get_stage_hash
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile

from cluster.plan import Entry, Need, Step


def restore(root: Path, entries: Mapping[str, Entry], pull: bool) -> list[str]:
    """Put the results of stages into a workspace and its dvc.lock, as `dvc repro` would.

    DVC restores one stage at a time and writes the whole of dvc.lock after each, so that the time
    per stage grows with their number. Here all stages are one transfer and one write per dvc.lock.

    Args:
        root: The workspace.
        entries: {address: entry in dvc.lock}.
        pull: Whether the outputs are in the remote.

    Returns:
        The stages whose outputs are missing; `dvc repro` has to run them.
    """
    missing: list[str] = []
    with Repo(str(root)) as repo, lock_repo(repo):
        order = plan_repro(get_active_graph(repo.index.graph))
        stages = [stage for stage in order if stage.addressing in entries]
        cached = [_stage_of_entry(repo, stage.wdir, entries[stage.addressing]) for stage in stages]
        if pull:
            _pull(repo, *cached)
        restored = defaultdict(list)  # {path of a dvc.yaml: its stages}
        for stage, outputs in zip(stages, cached, strict=True):
            if not outputs.outs_cached():
                missing.append(stage.addressing)
                continue
            outputs.checkout()
            stage.ignore_outs()
            StageLoader.fill_from_lock(stage, entries[stage.addressing])
            restored[stage.path].append(stage)
        for stages_of_file in restored.values():
            stages_of_file[0].dvcfile._lockfile.dump_stages(stages_of_file)
    return missing


def reproduce(
    root: Path, step: Step, inputs: Mapping[str, Entry], remote: bool
) -> tuple[str, Entry]:
    """Run a stage in a copy of the workspace, unless its results are in the run cache.

    Args:
        root: The copy.
        step: The stage.
        inputs: {address: entry in dvc.lock} of the stages that it depends on.
        remote: Whether results travel through the remote.

    Returns:
        `done`, or `cached` where the run cache had the results; and the stage's entry in dvc.lock.
        Its outputs are in the cache, and in the remote if there is one.
    """
    with Repo(str(root)) as repo, lock_repo(repo):
        for need in step.needs:
            _check_out(repo, _needed_stage(repo, need, inputs), remote)
        stage = _stage(repo, step, {})
        stage.save_deps()
        entry, state = _cached_entry(repo, step, stage, remote), "cached"
        if not entry:
            stage.run()
            entry, state = dict(to_single_stage_lockfile(stage)), "done"
        if remote:
            _publish(repo, stage, entry)
    return state, entry


def _stage(repo: Any, step: Step, locked: Entry) -> Stage:
    file = load_file(repo, repo.fs.join(repo.root_dir, step.file))
    return StageLoader.load_stage(file, step.name, dict(step.definition), dict(locked))


def _needed_stage(repo: Any, need: Need, inputs: Mapping[str, Entry]) -> Stage:
    """Return a stage whose outputs are those that another stage needs."""
    if need.address in inputs:
        entry = inputs[need.address]
        outs = [out for out in entry["outs"] if out["path"] in need.paths]
        folder = repo.fs.join(repo.root_dir, need.wdir)
        return _stage_of_entry(repo, folder, {**entry, "outs": outs})
    return load_file(repo, repo.fs.join(repo.root_dir, need.address)).stage


def _stage_of_entry(repo: Any, wdir: str, entry: Entry) -> PipelineStage:
    """Return a stage with the outputs of an entry of dvc.lock, all of them cached ones."""
    return repo.stage_cache._create_stage(entry, wdir)


def _cached_entry(repo: Any, step: Step, stage: Stage, remote: bool) -> Entry:
    """Return the entry of results that exist already: of dvc.lock, else of the run cache.

    Returns:
        The entry; empty if there is none, or its outputs are missing.
    """
    locked = _stage(repo, step, step.locked)
    unchanged = step.locked and not locked.changed_stage() and locked.deps_cached()
    if unchanged and _available(repo, _stage_of_entry(repo, stage.wdir, step.locked), remote):
        return step.locked
    if remote:
        _transfer(repo, stage, to_remote=False)
    entry: Entry | None = repo.stage_cache._load(stage)
    if entry and _available(repo, _stage_of_entry(repo, stage.wdir, entry), remote):
        return entry
    return {}


def _available(repo: Any, stage: Stage, remote: bool) -> bool:
    """Tell whether all outputs of a stage are in the cache, or in the remote if there is one."""
    if not remote:
        return bool(stage.outs_cached())
    objects = _objects(stage)
    folders = [out for out in stage.outs if out.is_dir_checksum]
    return all(out.cache.exists(out.hash_info.value) for out in folders) and not any(
        repo.cloud.status(ids).missing for ids in objects
    )


def _objects(*stages: Stage) -> list[set[Any]]:
    """Return the ids of the objects that stages' outputs consist of, a set per object database.

    A folder's list of files is an object too, and is fetched. A folder whose list is missing is
    left out; without `force` DVC would ask about it at the terminal.
    """
    ids_by_database: dict[Any, set[Any]] = defaultdict(set)
    for stage in stages:
        for database, ids in stage.get_used_objs(force=True).items():
            ids_by_database[database] |= ids
    return list(ids_by_database.values())


def _check_out(repo: Any, stage: Stage, pull: bool) -> None:
    """Put a stage's outputs into the workspace, unless they are there unchanged."""
    if not any(out.workspace_status() for out in stage.outs):
        return
    if pull:
        _pull(repo, stage)
    stage.checkout()


def _pull(repo: Any, *stages: Stage) -> None:
    for ids in _objects(*stages):
        repo.cloud.pull(ids)


def _publish(repo: Any, stage: Stage, entry: Entry) -> None:
    """Send the outputs, then the entry that names them."""
    for ids in _objects(_stage_of_entry(repo, stage.wdir, entry)):
        repo.cloud.push(ids)
    _transfer(repo, stage, to_remote=True)


def _transfer(repo: Any, stage: Stage, to_remote: bool) -> None:
    """Copy the run cache's entries of one stage; DVC would copy those of all stages."""
    key = _get_stage_hash(stage)
    local, remote = repo.cache.legacy, repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    source, target = (local, remote) if to_remote else (remote, local)
    folder = source.fs.join(source.path, "runs", key[:2], key)
    if not source.fs.exists(folder):
        return
    for path in source.fs.find(folder):
        copy = target.fs.join(target.path, "runs", key[:2], key, source.fs.name(path))
        if not target.fs.exists(copy):
            target.fs.makedirs(target.fs.parent(copy), exist_ok=True)
            generic.copy(source.fs, path, target.fs, copy)
