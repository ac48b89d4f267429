"""The extract stage: the documented rows, the same bytes, and damaged snapshots."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from stages import extract
from tests.support.study import tiny_params, write_params
from vanishing.datasets import examples
from vanishing.errors import StudyError
from vanishing.files import RAW
from vanishing.params import base as section
from vanishing.params.extract import Probing
from vanishing.results import run

EVERY_LAYER = {
    "weight",
    "weight_gradient",
    "bias_gradient",
    "preactivation",
    "backpropagated_gradient",
}
SUMMARY = {"mean", "std", "rms", "mean_abs", "max_abs", "l2_norm", "fraction_zero"}
SUMMARY |= {"q01", "q05", "q25", "q50", "q75", "q95", "q99", "fraction_tiny", "fraction_nonfinite"}


def test_statistics_of_one_tensor_alone_are_where_they_belong(study: Path) -> None:
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    special = layers[(layers["epoch"] == 1) & ~layers["statistic"].isin(SUMMARY)]
    found = special.groupby(["tensor", "statistic"])["layer_index"].apply(list).to_dict()
    assert found == {
        ("activation", "fraction_constant"): [0, 1, 2],
        ("activation", "fraction_dead"): [0, 1, 2],
        ("backpropagated_gradient", "attenuation"): [0],
        ("backpropagated_gradient", "hop"): [0, 1],
        ("preactivation", "saturation"): [0, 1, 2],
        ("update", "ratio"): [0, 1, 2, 3],
        ("weight", "displacement"): [0, 1, 2, 3],
        ("weight", "fan_in"): [0, 1, 2, 3],
        ("weight", "fan_out"): [0, 1, 2, 3],
        ("weight_gradient", "signal_to_noise"): [0, 1, 2, 3],
    }


def test_displacement_and_fans_are_those_of_the_snapshots(study: Path) -> None:
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    weights = layers[(layers["tensor"] == "weight") & (layers["layer"] == "hidden.0.linear")]
    found = weights.pivot_table(index="epoch", columns="statistic", values="value")
    assert found["fan_in"].tolist() == [784] * 3
    assert found["fan_out"].tolist() == [16] * 3
    start, end = (
        extract.load_network(run.load("relu"), 0, epoch)
        .get_parameter("hidden.0.linear.weight")
        .double()
        for epoch in (0, 2)
    )
    expected = ((end - start).norm() / start.norm()).item()
    assert found["displacement"].loc[0] == 0
    assert found["displacement"].loc[2] == pytest.approx(expected)


def test_units_add_up_to_what_is_said_of_their_layer(study: Path) -> None:
    units = pd.read_parquet(study / "data/statistics/relu/units.parquet")
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    assert len(units) == 3 * 3 * 16  # snapshots, hidden layers, units
    zero = layers[(layers["tensor"] == "activation") & (layers["statistic"] == "fraction_zero")]
    by_layer = units.groupby(["epoch", "layer"])["fraction_active"].mean()
    expected = 1 - zero.set_index(["epoch", "layer"])["value"].sort_index()
    assert by_layer.sort_index().to_dict() == pytest.approx(expected.to_dict())
    assert units["fraction_flat"].tolist() == pytest.approx(1 - units["fraction_active"])  # ReLU


def test_a_depth_of_the_sweep_that_is_the_variants_own_is_measured_once(study: Path) -> None:
    depths = pd.read_parquet(study / "data/statistics/relu/depths.parquet")
    own = pd.read_parquet(study / "data/statistics/relu/initialisation.parquet")
    assert set(depths["depth"]) == {1, 2, 4}
    assert set(own["depth"]) == {3}
    settings = section.load(Probing).extract.model_copy(update={"sweep_depths": (2, 3)})
    test = examples.load(RAW, "test", run.load("relu").data)
    measured, swept = extract.initialise(run.load("relu").network, test, settings)
    same = [row for row in swept if row["depth"] == 3]
    assert same == [row for row in measured if row["seed"] < settings.sweep_seeds]


def test_update_ratio_is_that_of_the_last_traced_step(study: Path) -> None:
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    trace = pd.read_parquet(study / "models/relu/trace.parquet")
    ratios = layers[(layers["tensor"] == "update") & (layers["statistic"] == "ratio")]
    for epoch, step in ((0, 1), (1, 20), (2, 40)):
        taken = trace[(trace["step"] == step) & (trace["layer"] == "output")]
        norms = taken.set_index("tensor")["value"]
        found = ratios[(ratios["epoch"] == epoch) & (ratios["layer"] == "output")]["value"].item()
        assert found == pytest.approx(norms["update"] / norms["weight"])


def test_every_layer_snapshot_and_tensor_has_every_statistic(study: Path) -> None:
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    assert sorted(layers["epoch"].unique()) == [0, 1, 2]
    assert layers.groupby("epoch")["step"].first().to_dict() == {0: 0, 1: 20, 2: 40}
    for (_, layer), rows in layers.groupby(["epoch", "layer"]):
        tensors = EVERY_LAYER | ({"activation"} if layer != "output" else set())
        assert set(rows["tensor"]) == tensors | {"update"}
        for tensor in tensors:
            assert set(rows.loc[rows["tensor"] == tensor, "statistic"]) >= SUMMARY, tensor


def test_histograms_count_every_value_in_both_scales(study: Path) -> None:
    histograms = pd.read_parquet(study / "data/statistics/relu/histograms.parquet")
    total = histograms.groupby(["epoch", "layer", "tensor", "scale"])["count"].sum()
    assert set(total.loc[:, "hidden.1.linear", "weight"]) == {16 * 16}
    assert set(total.loc[:, "hidden.1.linear", "backpropagated_gradient"]) == {200 * 16}


def test_statistics_of_weights_are_those_of_the_snapshot(study: Path) -> None:
    layers = pd.read_parquet(study / "data/statistics/relu/layers.parquet")
    network = extract.load_network(run.load("relu"), seed=0, epoch=2)
    rows = layers[(layers["epoch"] == 2) & (layers["layer"] == "output")]
    rms = rows[(rows["tensor"] == "weight") & (rows["statistic"] == "rms")]["value"].item()
    assert rms == pytest.approx(network.output.weight.double().square().mean().sqrt().item())


def test_same_snapshots_same_bytes(study_folder: Path, workspace: Path) -> None:
    for folder in ("models", "data/raw"):
        shutil.copytree(study_folder / folder, workspace / folder)
    extract.main(["relu"])
    for name in ("layers.parquet", "histograms.parquet", "units.parquet"):
        relative = Path("data/statistics/relu") / name
        assert (workspace / relative).read_bytes() == (study_folder / relative).read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a snapshot at all", None])
def test_a_damaged_snapshot_is_named_with_its_remedy(
    study_folder: Path, workspace: Path, content: bytes | None
) -> None:
    for folder in ("models", "data/raw"):
        shutil.copytree(study_folder / folder, workspace / folder)
    path = run.snapshot_path("relu", 0, 1)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(StudyError, match=f"{path}: cannot be read .*dvc repro"):
        extract.main(["relu"])
    assert not (workspace / "data/statistics").exists()


def test_a_snapshot_of_another_network_is_named(study_folder: Path, workspace: Path) -> None:
    for folder in ("models", "data/raw"):
        shutil.copytree(study_folder / folder, workspace / folder)
    path = run.snapshot_path("relu", 0, 1)
    shutil.copy(run.snapshot_path("sigmoid-batchnorm", 0, 1), path)
    with pytest.raises(StudyError, match=f"{path}: cannot be read"):
        extract.main(["relu"])


def test_weights_of_other_parameters_are_refused(study_folder: Path, workspace: Path) -> None:
    for folder in ("models", "data/raw"):
        shutil.copytree(study_folder / folder, workspace / folder)
    content = tiny_params()
    content["variants"]["relu"]["width"] = 12
    write_params(workspace, content)
    with pytest.raises(StudyError, match=r"other parameters .* dvc repro train@relu"):
        extract.main(["relu"])


def test_a_variant_that_does_not_exist_is_refused(workspace: Path) -> None:
    with pytest.raises(StudyError, match="no variant 'rleu'"):
        extract.main(["rleu"])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_nothing_of_the_study_flushes_denormals() -> None:
    smallest = torch.tensor([2.0**-149])
    assert (smallest * 1).item() == 2.0**-149
