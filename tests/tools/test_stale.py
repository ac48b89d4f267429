"""Stale stages: from DVC's status, and from what the stages of dvc.lock need of each other."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import ROOT, link_code, tiny_params, write_params
from tools import stale
from vanishing.errors import StudyError
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.pipeline.fingerprint import fingerprints

LOCKED = {
    "validate": {"outs": [{"path": "data/validated"}]},
    "download": {"outs": [{"path": "data/raw"}]},
    "train@a-0": {
        "deps": [{"path": "data/raw"}, {"path": "data/validated"}],
        "outs": [{"path": "models/a/seed-0"}, {"path": "data/training/a/seed-0"}],
    },
    "train@b-0": {"deps": [{"path": "data/raw"}], "outs": [{"path": "data/training/b/seed-0"}]},
    "diagnose": {"deps": [{"path": "data/training"}], "outs": [{"path": "reports/metrics.json"}]},
    "track": {"deps": [{"path": "reports/metrics.json"}]},
}


def test_a_missing_file_makes_nothing_stale() -> None:
    status = {
        "train@a-0": [
            {"changed deps": {"data/raw": "deleted"}},
            {"changed outs": {"models/a/seed-0": "not in cache"}},
        ],
        "diagnose": [{"changed deps": {"data/training": "deleted"}}],
    }
    assert stale.changed_inputs(status) == {}


def test_changed_files_parameters_and_commands_are_named_and_fingerprints_are_not() -> None:
    status: dict[str, list[Any]] = {
        "train@a-0": [
            {
                "changed deps": {
                    "data/raw": "modified",
                    "data/fingerprints/train": "modified",
                    "params.yaml": {"train.epochs": "modified", "train.new": "new"},
                }
            },
            "changed command",
        ],
        "diagnose": [{"changed deps": {"data/fingerprints/diagnose": "modified"}}],
    }
    reason = "data/raw modified, train.epochs modified, train.new new, changed command"
    assert stale.changed_inputs(status) == {"train@a-0": reason}


def test_dependents_are_stale_too_and_no_others() -> None:
    assert stale.with_dependents({"train@a-0": "why"}, LOCKED) == {
        "train@a-0": "why",
        "diagnose": "needs data/training/a/seed-0 of train@a-0",
        "track": "needs reports/metrics.json of diagnose",
    }
    assert stale.with_dependents({"validate": "why"}, LOCKED) == {"validate": "why"}


def test_changed_definitions_are_named_where_the_old_fingerprint_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params())
    link_code(tmp_path)
    path = Path("data/fingerprints/report")
    text = fingerprints(load(Judged), {path})[path]
    name, digest = text.split()[:2]
    before = text.replace(digest, "another", 1)
    entry = {"path": str(path), "md5": hashlib.md5(before.encode()).hexdigest()}  # noqa: S324
    assert stale.changed_code({"report": {"deps": [entry]}}) == {"report": "its code changed"}
    path.parent.mkdir(parents=True)
    path.write_text(before)
    assert stale.changed_code({"report": {"deps": [entry]}}) == {"report": f"{name} changed"}
    entry["md5"] = hashlib.md5(text.encode()).hexdigest()  # noqa: S324
    assert stale.changed_code({"report": {"deps": [entry]}}) == {}


def test_stages_are_those_of_dvc_yaml_for_the_variants_and_seeds_of_params_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = tiny_params()
    content["train"]["seeds"] = [0, 3]
    write_params(tmp_path, content)
    link_code(tmp_path)
    stages = stale.pipeline_stages()
    assert [stage for stage in stages if stage.startswith("train")] == [
        f"train@{variant}-{seed}" for variant in content["variants"] for seed in (0, 3)
    ]
    kinds = list(dict.fromkeys(stage.partition("@")[0] for stage in stages))
    assert kinds == list(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])


def test_an_error_of_dvc_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="not inside of a DVC repository") as error:
        stale.dvc_status()
    assert len(str(error.value).splitlines()) == 1
