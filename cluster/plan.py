"""What of a pipeline is out of date, and what depends on what: asked of DVC, for any dvc.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo
from dvc.stage import PipelineStage, Stage

from stages.core.errors import StudyError

META = "ray"  # in a stage's `meta`: Ray's options for it, or `local`
LOCAL = "local"  # not for the cluster: left to `dvc repro` in the user's workspace
OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "max_retries")


class Step(NamedTuple):
    """One stage.

    Attributes:
        address: As `dvc repro` takes it.
        upstream: The stages that it depends on.
        stale: Whether it, or one that it depends on, is not what dvc.lock says.
        local: Whether it has to run in the user's workspace: it says so, or depends on one that
            does, or DVC's run cache cannot hold it.
        options: Ray's, from its `meta`.
    """

    address: str
    upstream: tuple[str, ...]
    stale: bool
    local: bool
    options: Mapping[str, Any]


def plan(root: Path) -> list[Step]:
    """Plan a workspace's pipeline.

    Returns:
        Its stages, each after those that it depends on; files that `dvc add` tracks are not among
        them.
    """
    with Repo(str(root)) as repo, repo.lock:
        graph = repo.index.graph
        done: dict[str, Step] = {}
        for stage in _in_order(graph):
            upstream = tuple(
                sorted(s.addressing for s in graph.successors(stage) if _is_pipeline(s))
            )
            options = _options(stage)
            done[stage.addressing] = Step(
                stage.addressing,
                upstream,
                stale=any(done[u].stale for u in upstream) or stage.changed(),
                local=any(done[u].local for u in upstream)
                or options == LOCAL
                or not _cacheable(stage),
                options={} if options == LOCAL else options,
            )
    return list(done.values())


def _in_order(graph: Any) -> list[Stage]:
    import networkx as nx  # noqa: PLC0415 - DVC's own

    names = {stage: stage.addressing for stage in graph if _is_pipeline(stage)}
    order = nx.lexicographical_topological_sort(
        graph.subgraph(names).reverse(), key=names.__getitem__
    )
    return list(order)


def _is_pipeline(stage: Stage) -> bool:
    return isinstance(stage, PipelineStage)


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


def _options(stage: Stage) -> Any:
    found = (stage.meta or {}).get(META, {})
    if found == LOCAL:
        return LOCAL
    if not isinstance(found, dict) or set(found) - set(OPTIONS):
        raise StudyError(
            f"dvc.yaml: {stage.addressing}: meta.{META}: should be `{LOCAL}` or have"
            f" {', '.join(OPTIONS)}; given {found}"
        )
    return dict(found)
