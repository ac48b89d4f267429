"""The initialise stage: tables of fresh networks, which need no training."""

from pathlib import Path

import pandas as pd
import pytest

from stages import download, initialise
from tests.support.study import read_files, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.paths import INITIALISATION, MODELS, TRAINING, table


def test_it_needs_no_training_and_the_same_parameters_give_the_same_bytes(
    judged_folder: Path, workspace: Path
) -> None:
    download.main([])
    initialise.main(["relu"])
    tables = read_files(workspace / INITIALISATION / "relu")
    assert sorted(tables) == ["depths.parquet", "initialisation.parquet", "theory.parquet"]
    assert tables == read_files(judged_folder / INITIALISATION / "relu")
    assert not (workspace / MODELS).exists()
    assert not (workspace / TRAINING).exists()


@pytest.mark.usefixtures("judged")
def test_the_own_depth_and_the_others_are_in_tables_of_their_own() -> None:
    extract = tiny_params()["extract"]
    own, others, theory = (
        pd.read_parquet(table(name, "relu")) for name in ("initialisation", "depths", "theory")
    )
    assert set(own["depth"]) == {3}
    assert set(own["seed"]) == set(range(extract["init_seeds"]))
    assert set(others["depth"]) == set(extract["sweep_depths"])
    assert set(others["seed"]) == set(range(extract["sweep_seeds"]))
    counts = theory.groupby("depth")["n"].unique().map(list).to_dict()
    assert counts == {1: [2], 2: [2], 3: [3], 4: [2]}


def test_a_depth_of_the_sweep_that_is_the_variants_own_is_compared_once(workspace: Path) -> None:
    content = tiny_params()
    content["extract"]["sweep_depths"] = [2, 3]
    write_params(workspace, content)
    download.main([])
    initialise.main(["relu"])
    theory = pd.read_parquet(table("theory", "relu"))
    assert theory.groupby("depth")["n"].unique().map(list).to_dict() == {2: [2], 3: [3]}
    keys = ["depth", "layer_index", "quantity"]
    assert not theory.duplicated(keys).any()


def test_a_variant_that_does_not_exist_is_refused_before_anything_is_written(
    workspace: Path,
) -> None:
    with pytest.raises(StudyError, match=r"no variant 'rleu' \(did you mean relu\?\)"):
        initialise.main(["rleu"])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_a_depth_that_does_not_fit_into_the_memory_is_refused_with_an_estimate(
    workspace: Path,
) -> None:
    content = tiny_params()
    content["extract"]["sweep_depths"] = [1, 1_000_000_000]
    write_params(workspace, content)
    download.main([])
    with pytest.raises(StudyError, match=r"extract\.sweep_depths: training it takes about"):
        initialise.main(["relu"])
    assert not INITIALISATION.exists()
