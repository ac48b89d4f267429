"""Statistics of a run's snapshots, and the snapshots that cannot be read."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from tests import reference
from tests.support.study import BASELINE
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.build import build
from vanishing.params.diagnose import Params
from vanishing.params.extract import Extract
from vanishing.params.study import Variant
from vanishing.paths import snapshot
from vanishing.recording.probe import LayerRecord, record
from vanishing.recording.snapshots import (
    SnapshotRows,
    load_network,
    probe_snapshots,
    summarize_layer,
)
from vanishing.results.run import Machine, RunRecord
from vanishing.seeds import generator
from vanishing.stats.exact import summarize

INPUTS, SEED = 20, 7
STEPS = {0: 0, 1: 20, 2: 40}  # {epoch: step}
EVERY_LAYER = {
    "weight",
    "weight_gradient",
    "bias_gradient",
    "preactivation",
    "backpropagated_gradient",
}
OF_ONE_TENSOR = {
    ("activation", "fraction_constant"): [0, 1, 2],
    ("activation", "fraction_dead"): [0, 1, 2],
    ("backpropagated_gradient", "attenuation"): [0],
    ("backpropagated_gradient", "hop"): [0, 1],
    ("preactivation", "saturation"): [0, 1, 2],
    ("weight", "displacement"): [0, 1, 2, 3],
    ("weight", "fan_in"): [0, 1, 2, 3],
    ("weight", "fan_out"): [0, 1, 2, 3],
}


@pytest.fixture
def run(settings: Params) -> RunRecord:
    """Save snapshots in the working directory, whose weights move at random, and their run."""
    variant = Variant(**BASELINE | {"activation": "relu"})
    run = RunRecord(
        variant="relu",
        seed=SEED,
        network=variant,
        inputs=INPUTS,
        classes=10,
        train=settings.train.of_one_seed(),
        data=settings.data,
        machine=Machine(device="x86_64", instructions="AVX2", threads=1, torch="2"),
    )
    network = build(variant, INPUTS, 10, generator(SEED, "initialisation"))
    drift = torch.Generator().manual_seed(1)
    for epoch in STEPS:
        path = snapshot("relu", SEED, epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(network.state_dict(), path)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=drift), alpha=0.1)
    return run


@pytest.fixture
def extract() -> Extract:
    """Give settings with a probe of 25 images."""
    return Extract(
        probe_size=25,
        batch_size=10,
        init_probe_size=5,
        init_seeds=1,
        sweep_depths=(1,),
        sweep_seeds=1,
    )


@pytest.fixture
def examples(rng: torch.Generator) -> Examples:
    """Give 30 random images."""
    images = torch.randn(30, INPUTS, generator=rng)
    return Examples(images, torch.randint(0, 10, (30,), generator=rng))


@pytest.fixture
def rows(run: RunRecord, extract: Extract, examples: Examples) -> SnapshotRows:
    """Probe the run's snapshots."""
    return probe_snapshots(run, STEPS, examples, extract)


def select(rows: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in values.items())]


def test_every_snapshot_layer_and_tensor_has_every_statistic(rows: SnapshotRows) -> None:
    layers = pd.DataFrame(rows.layers)
    assert layers.groupby("epoch")["step"].unique().map(list).to_dict() == {
        epoch: [step] for epoch, step in STEPS.items()
    }
    summary = set(summarize(torch.zeros(1)))
    for (epoch, layer), group in layers.groupby(["epoch", "layer"]):
        tensors = EVERY_LAYER | ({"activation"} if layer != "output" else set())
        assert set(group["tensor"]) == tensors, epoch
        for tensor in tensors:
            assert set(group.loc[group["tensor"] == tensor, "statistic"]) >= summary, tensor


def test_statistics_of_one_tensor_stand_at_their_layers(rows: SnapshotRows) -> None:
    layers = pd.DataFrame(select(rows.layers, epoch=1))
    special = layers[~layers["statistic"].isin(summarize(torch.zeros(1)))]
    positions = special.groupby(["tensor", "statistic"])["layer_index"].apply(list).to_dict()
    assert positions == OF_ONE_TENSOR


def test_statistics_are_those_of_the_snapshot_on_the_probe(
    rows: SnapshotRows, run: RunRecord, examples: Examples
) -> None:
    records = record(load_network(run, 2), examples.first(25), 10).layers
    for name, layer in records.items():
        for tensor, values in layer.tensors.items():
            statistics = {
                row["statistic"]: row["value"]
                for row in select(rows.layers, epoch=2, layer=name, tensor=tensor)
            }
            assert summarize(values).items() <= statistics.items()


def test_displacement_is_that_from_the_first_snapshot(rows: SnapshotRows, run: RunRecord) -> None:
    start, *_, end = (
        load_network(run, epoch).get_parameter("output.weight").flatten().tolist()
        for epoch in STEPS
    )
    first, *_, last = select(rows.layers, layer="output", statistic="displacement")
    assert first["value"] == 0
    assert last["value"] == pytest.approx(reference.displacement(end, start))


def test_ratios_are_those_of_the_backpropagated_gradients(rows: SnapshotRows) -> None:
    values = {
        statistic: [
            row["value"]
            for row in select(
                rows.layers, epoch=2, tensor="backpropagated_gradient", statistic=statistic
            )
        ]
        for statistic in ("rms", "hop", "attenuation")
    }
    assert values["hop"] == pytest.approx(reference.hops(values["rms"]))
    assert values["attenuation"] == pytest.approx([reference.attenuation(values["rms"])])


def test_units_add_up_to_the_statistics_of_their_layer(rows: SnapshotRows) -> None:
    units, layers = pd.DataFrame(rows.units), pd.DataFrame(rows.layers)
    assert len(units) == 3 * 3 * 16  # snapshots, hidden layers, units
    zero = layers[(layers["tensor"] == "activation") & (layers["statistic"] == "fraction_zero")]
    active = units.groupby(["epoch", "layer"])["fraction_active"].mean()
    expected = 1 - zero.set_index(["epoch", "layer"])["value"]
    assert active.to_dict() == pytest.approx(expected.to_dict())
    assert units["fraction_flat"].tolist() == pytest.approx(1 - units["fraction_active"])  # ReLU


def test_histograms_count_every_value_in_both_scales(rows: SnapshotRows) -> None:
    counts = pd.DataFrame(rows.histograms).groupby(["epoch", "layer", "tensor", "scale"])["count"]
    total = counts.sum()
    assert set(total.loc[:, "hidden.1.linear", "weight"]) == {16 * 16}
    assert set(total.loc[:, "hidden.1.linear", "backpropagated_gradient"]) == {25 * 16}
    assert set(total.index.get_level_values("scale")) == {"log2", "linear"}


def test_fans_of_a_convolution_count_the_positions_of_its_kernel() -> None:
    weight = torch.ones(6, 4, 3, 3)
    tensors = {"weight": weight, "backpropagated_gradient": torch.ones(2, 6)}
    layer = LayerRecord(tensors, ("weight",), None, {})
    summaries = summarize_layer(layer, {"weight": weight})
    assert (summaries["weight"]["fan_in"], summaries["weight"]["fan_out"]) == (4 * 9, 6 * 9)


@pytest.mark.parametrize("content", [b"", b"not a snapshot at all", None])
def test_a_damaged_snapshot_is_named_with_its_remedy(run: RunRecord, content: bytes | None) -> None:
    path = snapshot("relu", SEED, 1)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(StudyError, match=f"{path}: cannot be read .*dvc repro"):
        load_network(run, 1)


def test_a_snapshot_of_another_network_is_named(run: RunRecord) -> None:
    path = snapshot("relu", SEED, 1)
    save_file({"output.weight": torch.zeros(10, 16)}, Path(path))
    with pytest.raises(StudyError, match=f"{path}: cannot be read"):
        load_network(run, 1)


def test_the_network_is_the_one_that_was_saved(run: RunRecord) -> None:
    built = build(run.network, INPUTS, 10, generator(SEED, "initialisation"))
    loaded = load_network(run, 0).state_dict()
    assert all(torch.equal(loaded[name], values) for name, values in built.state_dict().items())


def test_denormals_are_not_flushed() -> None:
    smallest = torch.tensor([2.0**-149])
    assert (smallest * 1).item() == 2.0**-149
