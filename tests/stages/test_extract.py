"""The extract stage: its tables, the same bytes every time, and the runs that it refuses."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from stages import extract
from tests.support.study import tiny_params, write_params
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.results.factors import read_factors

TABLES = ("layers", "histograms", "units")


@pytest.fixture
def trained(judged_folder: Path, workspace: Path) -> Path:
    """Give a workspace in which the networks are trained and no statistics are taken."""
    for folder in (paths.MODELS, paths.TRAINING, paths.RAW):
        shutil.copytree(judged_folder / folder, workspace / folder)
    return workspace


@pytest.mark.usefixtures("judged")
def test_rows_are_of_the_snapshots_of_the_named_run() -> None:
    for table in TABLES:
        rows = pd.read_parquet(paths.table(table, "relu", 0))
        assert rows.groupby(["variant", "seed", "epoch"])["step"].unique().map(list).to_dict() == {
            ("relu", 0, 0): [0],
            ("relu", 0, 1): [20],
            ("relu", 0, 2): [40],
        }


@pytest.mark.usefixtures("judged")
def test_factors_of_the_first_and_the_last_snapshot_multiply_to_the_attenuation() -> None:
    factors = read_factors(["sigmoid", "sigmoid-batchnorm"], [0])
    assert factors.groupby("variant")["epoch"].unique().map(list).to_dict() == {
        "sigmoid": [0, 2],
        "sigmoid-batchnorm": [0, 2],
    }
    chain = factors[factors["within"] == 0]
    for _, rows in chain.groupby(["variant", "epoch"]):
        expected = rows["rms_input"].iloc[-1] / rows["rms_output"].iloc[0]
        assert 10 ** rows["decades"].sum() == pytest.approx(expected, rel=1e-5)


def test_the_same_snapshots_give_the_same_bytes(judged_folder: Path, trained: Path) -> None:
    extract.main(["relu", "0"])
    for table in TABLES:
        path = paths.table(table, "relu", 0)
        assert (trained / path).read_bytes() == (judged_folder / path).read_bytes()


@pytest.mark.usefixtures("trained")
def test_a_damaged_snapshot_is_named_and_no_table_is_written() -> None:
    path = paths.snapshot("relu", 0, 1)
    path.write_bytes(b"not a snapshot at all")
    with pytest.raises(StudyError, match=f"{path}: cannot be read .*dvc repro"):
        extract.main(["relu", "0"])
    assert not paths.STATISTICS.exists()


def test_weights_of_other_parameters_are_refused(trained: Path) -> None:
    content = tiny_params()
    content["variants"]["relu"]["width"] = 12
    write_params(trained, content)
    with pytest.raises(StudyError, match=r"other parameters .* dvc repro train@relu-0"):
        extract.main(["relu", "0"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["rleu", "0"], "no variant 'rleu'"), (["relu", "7"], "no seed '7'")],
)
def test_a_variant_or_a_seed_that_params_lacks_is_refused(
    workspace: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        extract.main(arguments)
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]
