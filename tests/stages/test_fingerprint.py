"""The fingerprint stage: a text per stage and variant, the same for the same code."""

from pathlib import Path

import pytest

from stages import fingerprint
from tests.support.study import ROOT, link_code, read_files, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.paths import FINGERPRINTS


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
    content["variants"]["relu"]["network"] = "nets:build"
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"network: nets:build: there is no module nets"):
        fingerprint.main([])
    assert not FINGERPRINTS.exists()
