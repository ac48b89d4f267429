"""The fingerprint stage: a text per stage and variant, the same for the same code."""

import sys
from pathlib import Path

import pytest

from stages import fingerprint, train
from tests.support.execution import find_definitions, find_references, watch_calls
from tests.support.study import (
    ROOT,
    link_code,
    prepare_training,
    read_files,
    tiny_params,
    write_params,
)
from tests.vanishing.pipeline.packages import write_package
from vanishing.errors import StudyError
from vanishing.paths import FINGERPRINTS, variant_fingerprint


def test_there_is_a_text_per_stage_and_variant_and_nothing_else(workspace: Path) -> None:
    link_code(workspace)
    fingerprint.main([])
    stages = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")} - {"fingerprint"}
    variants = {f"variants/{variant}" for variant in tiny_params()["variants"]}
    before = read_files(FINGERPRINTS)
    assert set(before) == stages | variants
    fingerprint.main([])
    assert read_files(FINGERPRINTS) == before


def test_a_network_that_no_module_has_is_refused_before_any_stage_runs(workspace: Path) -> None:
    link_code(workspace)
    content = tiny_params()
    content["variants"]["relu"] = {"network": "nets:build", "compare_to": "sigmoid"}
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"relu\.network: nets:build: there is no module nets"):
        fingerprint.main([])
    assert not FINGERPRINTS.exists()


NETS = """
from functools import partial

from torch import nn

from own_code import layers

WIDER = partial(layers.widen, by=2)

def build(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, WIDER(width)), nn.Linear(WIDER(width), 10))
"""
LAYERS = """
def widen(width, by):
    return twice(width) if by == 2 else width

def twice(number): return 2 * number
def unused(): ...
"""


def test_the_own_code_of_a_variant_that_runs_is_in_its_fingerprint(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # own code is imported from the study's folder
    write_package(workspace, {"own_code/nets.py": NETS, "own_code/layers.py": LAYERS})
    content = tiny_params() | {"code": "own_code"}
    own = {"network": "own_code.nets:build", "arguments": {"width": 8}, "compare_to": "sigmoid"}
    content["variants"]["relu"] = own
    write_params(workspace, content)
    prepare_training()
    with watch_calls("own_code") as calls:
        train.main(["relu", "0"])
    text = variant_fingerprint("relu").read_text()
    names = {line.partition(" ")[0] for line in text.splitlines()}
    used = find_definitions(calls) | find_references(calls)
    assert used >= {"own_code.nets.build", "own_code.layers.widen", "own_code.layers.twice"}
    assert used <= names
    assert "own_code.layers.unused" not in names
