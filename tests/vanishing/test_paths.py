"""The map of the disk."""

from pathlib import Path

import pytest

from tests.support.study import ROOT
from vanishing import paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (paths.stage_fingerprint("train"), "data/fingerprints/train"),
        (paths.variant_fingerprint("relu"), "data/fingerprints/variants/relu"),
        (paths.run_folder(paths.MODELS, "relu", 3), "models/relu/seed-3"),
        (paths.run_record("relu", 3), "data/training/relu/seed-3/run.json"),
        (paths.snapshot("relu", 3, 10), "models/relu/seed-3/epoch-010.safetensors"),
        (paths.snapshot("relu", 3, 1000), "models/relu/seed-3/epoch-1000.safetensors"),
        (paths.table("history", "relu", 3), "data/training/relu/seed-3/history.parquet"),
        (paths.table("layers", "relu", 3), "data/statistics/relu/seed-3/layers.parquet"),
        (paths.table("theory", "relu"), "data/initialisation/relu/theory.parquet"),
        (paths.figure("health"), "reports/figures/health.png"),
        (paths.card("relu"), "reports/figures/variants/relu.png"),
        (paths.plot("curves"), "reports/plots/curves.csv"),
        (paths.journal("relu", 3), ".study/journals/relu-seed-3.jsonl"),
        (paths.checkpoint("relu", 3), ".study/checkpoints/relu/seed-3"),
    ],
)
def test_every_path_is_where_the_documentation_says(path: Path, expected: str) -> None:
    assert path.as_posix() == expected


def test_every_path_is_relative_to_the_study_and_the_code_is_in_the_repository() -> None:
    constants = [value for value in vars(paths).values() if isinstance(value, Path)]
    assert constants
    assert not any(path.is_absolute() for path in constants)
    for path in (paths.LIBRARY, paths.STAGES, paths.TEMPLATE, paths.EFFECTS, paths.PIPELINE):
        assert (ROOT / path).exists()
