"""The stages of a pipeline that are due, and their dependencies: asked of DVC, for any dvc.yaml."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dependency import Dependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage
from dvc.stage.serialize import to_pipeline_file

from vanishing.errors import StudyError

META = "ray"  # the key in a stage's `meta`; its value is LOCAL, or has OPTIONS and KEEP
LOCAL = "local"  # the stage is left to `dvc repro` in the user's workspace
KEEP = "keep"
OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "max_retries")  # passed to Ray

Entry = dict[str, Any]


class Need(NamedTuple):
    """Outputs of another stage that a stage depends on.

    Attributes:
        address: The other stage, or the .dvc file of data that `dvc add` tracks.
        wdir: Its working directory, relative to the root of the repository.
        paths: The outputs, relative to its working directory.
    """

    address: str
    wdir: str
    paths: tuple[str, ...]


class Step(NamedTuple):
    """One stage.

    Attributes:
        address: The stage as `dvc repro` takes it.
        file: Its dvc.yaml, relative to the root of the repository.
        name: Its name in dvc.yaml, with the key of a matrix.
        definition: Its entry in dvc.yaml, with the template filled in.
        locked: Its entry in dvc.lock; empty if there is none.
        needs: The outputs that it depends on; files that Git tracks are not among them.
        changed: Whether it differs from its entry in dvc.lock.
        stale: Whether it, or a stage that it depends on, differs from its entry in dvc.lock.
        local: Whether it has to run in the user's workspace: it says so, it depends on a stage
            that does, or DVC's run cache cannot hold it.
        options: Ray's options from its `meta`.
        keep: Files and folders that come back from its copy of the workspace though they are no
            outputs, relative to the root of the repository.
    """

    address: str
    file: str
    name: str
    definition: Mapping[str, Any]
    locked: Entry
    needs: tuple[Need, ...]
    changed: bool
    stale: bool
    local: bool
    options: Mapping[str, Any]
    keep: tuple[str, ...]

    @property
    def due(self) -> bool:
        """Whether it is to run on the cluster."""
        return self.stale and not self.local

    @property
    def upstream(self) -> list[str]:
        """The addresses of the stages and data that it depends on."""
        return [need.address for need in self.needs]


def plan(root: Path, pipeline: str) -> list[Step]:
    """Plan a pipeline.

    Args:
        root: The root of the repository, and the working directory.
        pipeline: Its dvc.yaml, relative to the root; a link is not resolved.

    Returns:
        Its stages and all that they depend on, in the order in which DVC runs them.
    """
    with Repo(str(root)) as repo, repo.lock:
        graph = get_active_graph(repo.index.graph)
        steps: dict[str, Step] = {}
        for stage in plan_repro(graph, collect_stages(repo, [pipeline])):
            if isinstance(stage, PipelineStage):
                needs = [_need(repo, stage, upstream) for upstream in graph.successors(stage)]
                steps[stage.addressing] = _step(repo, stage, tuple(sorted(needs)), steps)
    return list(steps.values())


def _step(repo: Repo, stage: Stage, needs: tuple[Need, ...], steps: Mapping[str, Step]) -> Step:
    upstream = [steps[need.address] for need in needs if need.address in steps]
    settings = _settings(repo, stage)
    declared_local = settings == LOCAL
    locked_stages = stage.dvcfile.lockfile_contents.get("stages", {})
    changed = stage.changed()
    return Step(
        stage.addressing,
        repo.fs.relpath(stage.path, repo.root_dir),
        stage.name,
        to_pipeline_file(stage)[stage.name],
        locked_stages.get(stage.name, {}),
        needs,
        changed=changed,
        stale=changed or any(step.stale for step in upstream),
        local=declared_local or not _cacheable(stage) or any(step.local for step in upstream),
        options={}
        if declared_local
        else {name: settings[name] for name in OPTIONS if name in settings},
        keep=() if declared_local else _kept_paths(repo, stage, settings.get(KEEP, [])),
    )


def _need(repo: Repo, stage: Stage, upstream: Stage) -> Need:
    local_dependencies = [dep for dep in stage.deps if dep.protocol == "local"]
    return Need(
        upstream.addressing,
        repo.fs.relpath(upstream.wdir, repo.root_dir),
        tuple(
            out.def_path
            for out in upstream.outs
            if any(_overlap(repo, dependency, out) for dependency in local_dependencies)
        ),
    )


def _overlap(repo: Repo, dependency: Dependency, out: Output) -> bool:
    """Tell whether one of two paths is the other, or is in it."""
    paths = dependency.fs_path, out.fs_path
    return bool(repo.fs.isin_or_eq(*paths) or repo.fs.isin_or_eq(*reversed(paths)))


def _cacheable(stage: Stage) -> bool:
    """Tell whether the run cache can hold a stage, and all of its outputs."""
    runs_always = stage.is_callback or stage.always_changed
    return (
        not runs_always
        and all([stage.cmd, stage.deps, stage.outs])
        and not any(
            out.persist or not out.is_in_repo or not (out.use_cache or out.metric or out.plot)
            for out in stage.outs
        )
    )


def _settings(repo: Repo, stage: Stage) -> Any:
    """Return `meta.ray` of a stage: LOCAL, or a mapping with no other keys than OPTIONS and KEEP.

    Raises:
        StudyError: If it is anything else.
    """
    settings = (stage.meta or {}).get(META, {})
    if settings == LOCAL:
        return LOCAL
    if not isinstance(settings, dict) or set(settings) - {*OPTIONS, KEEP}:
        raise StudyError(
            f"{_location(repo, stage)}: should be `{LOCAL}` or have"
            f" {', '.join((*OPTIONS, KEEP))}; given {settings}"
        )
    return settings


def _kept_paths(repo: Repo, stage: Stage, names: list[str]) -> tuple[str, ...]:
    """Return paths relative to the root, of names relative to a stage's working directory.

    Raises:
        StudyError: If one is outside the repository.
    """
    folder = repo.fs.relpath(stage.wdir, repo.root_dir)
    paths = [os.path.normpath(Path(folder, name)) for name in names]
    for name, path in zip(names, paths, strict=True):
        if Path(path).is_absolute() or path.split(os.sep)[0] == os.pardir:
            raise StudyError(
                f"{_location(repo, stage)}.{KEEP}: should be in the repository; given {name}"
            )
    return tuple(paths)


def _location(repo: Repo, stage: Stage) -> str:
    return f"{repo.fs.relpath(stage.path, repo.root_dir)}: {stage.name}: meta.{META}"
