"""What of a pipeline is out of date, and what depends on what: asked of DVC, for any dvc.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.dvcfile import PROJECT_FILE
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage
from dvc.stage.serialize import to_pipeline_file

from vanishing.errors import StudyError

META = "ray"  # in a stage's `meta`: Ray's options for it and what else comes back, or `local`
LOCAL = "local"  # not for the cluster: left to `dvc repro` in the user's workspace
KEEP = "keep"
OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "max_retries")

Entry = dict[str, Any]


class Need(NamedTuple):
    """Outputs of another stage that a stage depends on.

    Attributes:
        address: The other stage, or the .dvc file of data that `dvc add` tracks.
        wdir: Its working directory, relative to the workspace.
        paths: The outputs, relative to that.
    """

    address: str
    wdir: str
    paths: tuple[str, ...]


class Step(NamedTuple):
    """One stage.

    Attributes:
        address: As `dvc repro` takes it.
        file: Its dvc.yaml, relative to the workspace.
        name: What dvc.yaml calls it, with its key.
        definition: Its entry in dvc.yaml, with its template filled in.
        locked: Its entry in dvc.lock; empty where there is none.
        needs: What it depends on, but for files that Git knows.
        stale: Whether it, or one that it depends on, is not what dvc.lock says.
        local: Whether it has to run in the user's workspace: it says so, or depends on one that
            does, or DVC's run cache cannot hold it.
        options: Ray's, from its `meta`.
        keep: What comes back from its copy of the workspace though it is no output.
    """

    address: str
    file: str
    name: str
    definition: Mapping[str, Any]
    locked: Entry
    needs: tuple[Need, ...]
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
        """The addresses of what it depends on."""
        return [need.address for need in self.needs]


def plan(root: Path) -> list[Step]:
    """Plan the pipeline of a workspace's dvc.yaml.

    Returns:
        Its stages in the order in which DVC runs them, each after those that it depends on.
    """
    with Repo(str(root)) as repo, repo.lock:
        graph = get_active_graph(repo.index.graph)
        done: dict[str, Step] = {}
        for stage in plan_repro(graph, collect_stages(repo, [PROJECT_FILE])):
            if isinstance(stage, PipelineStage):
                needs = [_need(repo, stage, upstream) for upstream in graph.successors(stage)]
                done[stage.addressing] = _step(repo, stage, tuple(sorted(needs)), done)
    return list(done.values())


def _step(repo: Repo, stage: Stage, needs: tuple[Need, ...], done: Mapping[str, Step]) -> Step:
    before = [done[need.address] for need in needs if need.address in done]
    found = _meta(stage)
    here = found == LOCAL
    locks = stage.dvcfile.lockfile_contents.get("stages", {})
    return Step(
        stage.addressing,
        repo.fs.relpath(stage.path, repo.root_dir),
        stage.name,
        to_pipeline_file(stage)[stage.name],
        locks.get(stage.name, {}),
        needs,
        stale=any(each.stale for each in before) or stage.changed(),
        local=any(each.local for each in before) or here or not _cacheable(stage),
        options={} if here else {name: found[name] for name in OPTIONS if name in found},
        keep=() if here else tuple(found.get(KEEP, [])),
    )


def _need(repo: Repo, stage: Stage, upstream: Stage) -> Need:
    def wanted(out: Output) -> bool:
        return any(
            repo.fs.isin_or_eq(one.fs_path, other.fs_path)
            for dependency in stage.deps
            if dependency.protocol == "local"
            for one, other in ((dependency, out), (out, dependency))
        )

    return Need(
        upstream.addressing,
        repo.fs.relpath(upstream.wdir, repo.root_dir),
        tuple(out.def_path for out in upstream.outs if wanted(out)),
    )


def _cacheable(stage: Stage) -> bool:
    """Say whether the run cache can hold a stage, and all of its outputs."""
    runs_always = stage.is_callback or stage.always_changed
    return (
        not runs_always
        and all([stage.cmd, stage.deps, stage.outs])
        and not any(
            out.persist or not out.is_in_repo or not (out.use_cache or out.metric or out.plot)
            for out in stage.outs
        )
    )


def _meta(stage: Stage) -> Any:
    found = (stage.meta or {}).get(META, {})
    if found == LOCAL:
        return LOCAL
    if not isinstance(found, dict) or set(found) - {*OPTIONS, KEEP}:
        raise StudyError(
            f"dvc.yaml: {stage.addressing}: meta.{META}: should be `{LOCAL}` or have"
            f" {', '.join((*OPTIONS, KEEP))}; given {found}"
        )
    return found
