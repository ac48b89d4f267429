"""Results of stages that ran in another copy of the workspace, by way of DVC's cache and remote.

Some of what is needed DVC does for itself only: how a stage's key in the run cache is computed, and
how an entry of dvc.lock becomes outputs. Those doors are used here, and nowhere else.
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


def take(root: Path, entries: Mapping[str, Entry], pull: bool) -> list[str]:
    """Put the results of stages into a workspace and its dvc.lock, as `dvc repro` would.

    DVC restores one stage at a time and writes the whole of dvc.lock after each, which takes longer
    with every stage that there is; here all of them are one transfer and one write.

    Args:
        root: The workspace.
        entries: {address: entry in dvc.lock}.
        pull: Whether the remote has the outputs.

    Returns:
        The stages whose outputs could not be found; `dvc repro` has to run them.
    """
    lost: list[str] = []
    with Repo(str(root)) as repo, lock_repo(repo):
        order = plan_repro(get_active_graph(repo.index.graph))
        stages = [stage for stage in order if stage.addressing in entries]
        cached = [_of_entry(repo, stage.wdir, entries[stage.addressing]) for stage in stages]
        if pull:
            _pull(repo, *cached)
        files = defaultdict(list)
        for stage, result in zip(stages, cached, strict=True):
            if not result.outs_cached():
                lost.append(stage.addressing)
                continue
            result.checkout()
            stage.ignore_outs()
            StageLoader.fill_from_lock(stage, entries[stage.addressing])
            files[stage.path].append(stage)
        for known in files.values():
            known[0].dvcfile._lockfile.dump_stages(known)
    return lost


def reproduce(
    root: Path, step: Step, inputs: Mapping[str, Entry], remote: bool
) -> tuple[str, Entry]:
    """Run a stage in a copy of the workspace, unless its result is known.

    Args:
        root: The copy.
        step: The stage.
        inputs: {address: entry in dvc.lock} of the stages that it depends on.
        remote: Whether results travel through the remote.

    Returns:
        `done`, or `cached` where the result was known; and the stage's entry in dvc.lock. Its
        outputs are in the cache, and in the remote if there is one.
    """
    with Repo(str(root)) as repo, lock_repo(repo):
        for need in step.needs:
            _restore(repo, _needed(repo, need, inputs), remote)
        stage = _stage(repo, step, {})
        stage.save_deps()
        entry, state = _known(repo, step, stage, remote), "cached"
        if not entry:
            stage.run()
            entry, state = dict(to_single_stage_lockfile(stage)), "done"
        if remote:
            _publish(repo, stage, entry)
    return state, entry


def _stage(repo: Any, step: Step, locked: Entry) -> Stage:
    file = load_file(repo, repo.fs.join(repo.root_dir, step.file))
    return StageLoader.load_stage(file, step.name, dict(step.definition), dict(locked))


def _needed(repo: Any, need: Need, inputs: Mapping[str, Entry]) -> Stage:
    if need.address in inputs:
        entry = inputs[need.address]
        outs = [out for out in entry["outs"] if out["path"] in need.paths]
        return _of_entry(repo, repo.fs.join(repo.root_dir, need.wdir), {**entry, "outs": outs})
    return load_file(repo, repo.fs.join(repo.root_dir, need.address)).stage


def _of_entry(repo: Any, wdir: str, entry: Entry) -> PipelineStage:
    """Return a stage whose outputs are those of an entry, all of them in the cache."""
    return repo.stage_cache._create_stage(entry, wdir)


def _known(repo: Any, step: Step, stage: Stage, remote: bool) -> Entry:
    """Return the entry of what DVC would not run: dvc.lock's, or the run cache's."""
    as_locked = _stage(repo, step, step.locked)
    unchanged = step.locked and not as_locked.changed_stage() and as_locked.deps_cached()
    if unchanged and _stored(repo, _of_entry(repo, stage.wdir, step.locked), remote):
        return step.locked
    if remote:
        _transfer(repo, stage, to_remote=False)
    entry: Entry | None = repo.stage_cache._load(stage)
    return entry if entry and _stored(repo, _of_entry(repo, stage.wdir, entry), remote) else {}


def _stored(repo: Any, cached: Stage, remote: bool) -> bool:
    """Say whether all outputs of a stage are in the cache, or in the remote if there is one."""
    if not remote:
        return bool(cached.outs_cached())
    objects = _objects(cached)
    folders = [out for out in cached.outs if out.is_dir_checksum]
    return all(out.cache.exists(out.hash_info.value) for out in folders) and not any(
        repo.cloud.status(some).missing for some in objects
    )


def _objects(*stages: Stage) -> list[set[Any]]:
    """Return the ids of what stages' outputs consist of, by where they belong.

    A folder's list of files is an object too, and is fetched; where it is nowhere, the folder is
    left out (without `force` DVC would ask at the terminal).
    """
    found: dict[Any, set[Any]] = defaultdict(set)
    for stage in stages:
        for odb, some in stage.get_used_objs(force=True).items():
            found[odb] |= some
    return list(found.values())


def _restore(repo: Any, stage: Stage, pull: bool) -> None:
    """Put a stage's outputs in place, those that are not there as they should be."""
    if not any(out.workspace_status() for out in stage.outs):
        return
    if pull:
        _pull(repo, stage)
    stage.checkout()


def _pull(repo: Any, *stages: Stage) -> None:
    for objects in _objects(*stages):
        repo.cloud.pull(objects)


def _publish(repo: Any, stage: Stage, entry: Entry) -> None:
    """Send the outputs, then the entry that names them."""
    for objects in _objects(_of_entry(repo, stage.wdir, entry)):
        repo.cloud.push(objects)
    _transfer(repo, stage, to_remote=True)


def _transfer(repo: Any, stage: Stage, to_remote: bool) -> None:
    """Copy the run cache's entries of one stage, where DVC would copy those of all."""
    key = _get_stage_hash(stage)
    here, there = repo.cache.legacy, repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    source, target = (here, there) if to_remote else (there, here)
    folder = source.fs.join(source.path, "runs", key[:2], key)
    if not source.fs.exists(folder):
        return
    for path in source.fs.find(folder):
        copy = target.fs.join(target.path, "runs", key[:2], key, source.fs.name(path))
        if not target.fs.exists(copy):
            target.fs.makedirs(target.fs.parent(copy), exist_ok=True)
            generic.copy(source.fs, path, target.fs, copy)
