"""The stages that are due, asked of DVC."""

from pathlib import Path

import pytest

from cluster.plan import Step, plan
from tests.cluster import toy
from tests.support.dvc_repository import call
from vanishing.errors import StudyError

PIPELINE = "studies/one/dvc.yaml"


def steps_by_name(root: Path, pipeline: str) -> dict[str, Step]:
    """Return {address: step} of a plan."""
    return {step.address: step for step in plan(root, pipeline)}


def test_a_pipelines_stages_and_what_they_depend_on_are_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.lay_out_studies(tmp_path)
    monkeypatch.chdir(tmp_path)
    steps = steps_by_name(tmp_path, PIPELINE)
    names = [f"{PIPELINE}:{name}" for name in ("prepare", "fan@x", "fan@y", "closing")]
    assert set(steps) == {"base/dvc.yaml:make", *names}
    prepare, fan, closing = (steps[f"{PIPELINE}:{n}"] for n in ("prepare", "fan@x", "closing"))
    assert prepare.upstream == ["base/dvc.yaml:make", "data.txt.dvc"]
    assert prepare.file == PIPELINE
    assert prepare.options == {"num_cpus": 0.5}
    assert prepare.keep == ("studies/one/notes", "studies/one/no-such-file")
    assert fan.upstream == [prepare.address]
    assert fan.due
    assert closing.local  # the run cache cannot hold an output that is not cached
    assert not closing.due


def test_changed_stages_are_told_from_their_dependents(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(expected)
    assert not any(step.due for step in plan(expected, "dvc.yaml"))
    call(tmp_path, "cp", "-r", str(expected), "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Path("input.txt").write_text("other\n")
    steps = steps_by_name(Path.cwd(), "dvc.yaml")
    assert all(step.due for step in steps.values())
    assert [name for name, step in steps.items() if step.changed] == ["prepare"]


def test_a_local_stage_keeps_its_dependents_local(project: Path) -> None:
    pipeline = toy.DIAMOND.replace("  fan:\n", "  fan:\n    meta: {ray: local}\n")
    (project / "dvc.yaml").write_text(pipeline)
    steps = steps_by_name(project, "dvc.yaml")
    assert {name for name, step in steps.items() if step.due} == {"prepare"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "{gpus: 1}",
            "dvc.yaml: slow: meta.ray: should be `local` or have num_cpus, num_gpus, memory,"
            " resources, max_retries, keep; given {'gpus': 1}",
        ),
        (
            "{keep: [notes, ../notes]}",
            "dvc.yaml: slow: meta.ray.keep: should be in the repository; given ../notes",
        ),
    ],
)
def test_a_wrong_setting_is_refused(project: Path, settings: str, message: str) -> None:
    (project / "dvc.yaml").write_text(f"{toy.SLOW}    meta:\n      ray: {settings}\n")
    with pytest.raises(StudyError) as error:
        plan(project, "dvc.yaml")
    assert str(error.value) == message
