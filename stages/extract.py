"""Take statistics of one variant's snapshots: `python -m stages.extract V`.

In: params.yaml (`extract`), models/V and the test images in data/raw. Out: data/statistics/V with
layers.parquet and histograms.parquet (a group of rows per seed, snapshot, weight layer and
tensor), units.parquet (a row per unit of each hidden layer), initialisation.parquet and
depths.parquet (fresh initialisations at the variant's own depth and at others), and
theory.parquet (what mean-field theory says of these).
"""

import argparse
import sys
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from vanishing import device
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.files import RAW
from vanishing.networks import memory
from vanishing.networks.mlp import Network
from vanishing.params import base as section
from vanishing.params.extract import Extract, Probing
from vanishing.params.study import Variant
from vanishing.pipeline.guard import run_stage
from vanishing.recording.initialisation import measure
from vanishing.recording.probe import Recorded, record
from vanishing.results import run
from vanishing.results import tables as results
from vanishing.results.run import Run
from vanishing.stats import exact as statistics
from vanishing.theory import comparison

Rows = list[dict[str, Any]]


def main(argv: list[str]) -> None:
    """Extract the statistics of the variant that the command line names.

    Raises:
        StudyError: If the weights are those of other parameters than params.yaml has.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.extract", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    settings = section.load(Probing)
    variant = settings.variant(name)
    description = run.load(name)
    if description.network != variant:
        raise StudyError(
            f"{run.description_path(name)}: these weights were trained with other parameters than"
            f" params.yaml has now; train them anew: dvc repro train@{name}"
        )
    deepest = variant.model_copy(update={"depth": settings.extract.sweep_depths[-1]})
    target = device.resolve(description.train.device)
    test = examples.load(RAW, "test", description.data).to(target)
    memory.check(
        "extract.sweep_depths",
        memory.needed_bytes(
            deepest,
            description.inputs,
            description.classes,
            min(settings.extract.batch_size, len(test.labels)),
        ),
    )
    probed = extract(description, test, settings.extract)
    initialisations, depths = initialise(variant, test, settings.extract)
    measured = pd.DataFrame(initialisations + [r for r in depths if r["depth"] != variant.depth])
    theory = comparison.compare(variant, description.inputs, measured)
    for table, rows in (
        ("layers", probed.layers),
        ("histograms", probed.histograms),
        ("units", probed.units),
        ("initialisation", initialisations),
        ("depths", depths),
        ("theory", theory),
    ):
        results.write(table, name, rows)


class Probed(NamedTuple):
    """Rows of the tables that describe snapshots, without `variant`."""

    layers: Rows
    histograms: Rows
    units: Rows


def extract(description: Run, test: Examples, settings: Extract) -> Probed:
    """Probe every snapshot of a run.

    Returns:
        The rows of layers.parquet, histograms.parquet and units.parquet.
    """
    layers: Rows = []
    histograms: Rows = []
    units: Rows = []
    start: dict[str, Tensor] = {}  # the weights at the seed's first snapshot, its initialisation
    name = description.variant
    history, trace = results.read("history", [name]), results.read("trace", [name])
    steps = history.set_index(["seed", "epoch"])["step"]
    snapshots = [(s, e) for s in description.train.seeds for e in description.train.snapshots]
    for seed, epoch in tqdm(snapshots, desc=name, unit="snapshot", disable=None):
        network = load_network(description, seed, epoch).to(test.images.device)
        where = {"seed": seed, "epoch": epoch, "step": int(steps.loc[seed, epoch])}
        recorded = record(network, test.first(settings.probe_size), settings.batch_size)
        updates = update_ratios(trace[trace["seed"] == seed], where["step"])
        if epoch == 0:
            start = {layer: seen.tensors["weight"] for layer, seen in recorded.items()}
        gradients = {}
        for index, (layer, seen) in enumerate(recorded.items()):
            here = {**where, "layer_index": index, "layer": layer}
            summary = summaries(seen, start[layer], settings.tiny)
            gradients[layer] = summary["backpropagated_gradient"]["rms"]
            layers += [
                {**here, "tensor": tensor, "statistic": statistic, "value": value}
                for tensor, found in (summary | updates.get(layer, {})).items()
                for statistic, value in found.items()
            ]
            units += [{**here, **row} for row in by_unit(seen)]
            histograms += [
                {**here, "tensor": tensor, "scale": scale}
                | {"bin_left": b.left, "bin_right": b.right, "count": b.count}
                for tensor, values in seen.tensors.items()
                for scale, histogram in statistics.HISTOGRAMS.items()
                for b in histogram(values)
            ]
        layers += [{**where, **row} for row in statistics.passage(gradients)]
    return Probed(layers, histograms, units)


def summaries(seen: Recorded, start: Tensor, tiny: float) -> dict[str, dict[str, float]]:
    """Describe all that one layer saw, and how far its weights are from `start`.

    Returns:
        {tensor: {statistic: value}}.
    """
    found = {name: statistics.summarize(values, tiny) for name, values in seen.tensors.items()}
    weight = seen.tensors["weight"]
    fan_in, fan_out = weight[0].numel(), weight.numel() // weight.shape[1]
    found["weight"] |= {"fan_in": float(fan_in), "fan_out": float(fan_out)}
    found["weight"]["displacement"] = statistics.displacement(weight, start)
    found["weight_gradient"]["signal_to_noise"] = seen.signal_to_noise
    if seen.activation is not None:
        z, phi = seen.tensors["preactivation"], seen.tensors["activation"]
        found["preactivation"]["saturation"] = statistics.saturation(z, seen.activation)
        found["activation"]["fraction_dead"] = statistics.fraction_dead(phi)
        found["activation"]["fraction_constant"] = statistics.fraction_constant(phi)
    return found


def by_unit(seen: Recorded) -> Rows:
    """Describe each unit of one layer; none where no activation follows.

    Returns:
        Rows with unit, fraction_active and fraction_flat, as in `statistics`.
    """
    if seen.activation is None:
        return []
    active = statistics.fraction_active(seen.tensors["activation"])
    flat = statistics.fraction_flat(seen.tensors["preactivation"], seen.activation)
    return [
        {"unit": unit, "fraction_active": a, "fraction_flat": f}
        for unit, (a, f) in enumerate(zip(active, flat, strict=True))
    ]


def update_ratios(trace: pd.DataFrame, step: int) -> dict[str, dict[str, dict[str, float]]]:
    """Look up the step taken at the last traced step up to `step`, or else at the first one.

    Returns:
        {layer: {"update": {`l2_norm` of the update, `ratio`: that over the weights' l2 norm}}}.
    """
    before = trace.loc[trace["step"] <= step, "step"]
    chosen = trace[trace["step"] == (before.max() if len(before) else trace["step"].min())]
    chosen = chosen[chosen["statistic"] == "l2_norm"]
    norms = {(row.layer, row.tensor): float(row.value) for row in chosen.itertuples()}
    return {
        layer: {"update": {"l2_norm": norm, "ratio": norm / norms[layer, "weight"]}}
        for (layer, tensor), norm in norms.items()
        if tensor == "update"
    }


def initialise(variant: Variant, test: Examples, settings: Extract) -> tuple[Rows, Rows]:
    """Measure fresh initialisations at the variant's own depth, and fewer at the sweep's depths.

    Where the sweep has the variant's own depth its rows are the first seeds' of the former.

    Returns:
        The rows of initialisation.parquet and of depths.parquet, without `variant`.
    """
    probe, batch = test.first(settings.init_probe_size), settings.batch_size
    own = measure(variant, probe, batch, variant.depth, range(settings.init_seeds))
    seeds = range(settings.sweep_seeds)
    depths: Rows = []
    for depth in tqdm(settings.sweep_depths, desc="depths", unit="depth", disable=None):
        if depth == variant.depth:
            depths += [row for row in own if row["seed"] in seeds]
        else:
            depths += measure(variant, probe, batch, depth, seeds)
    return own, depths


def load_network(description: Run, seed: int, epoch: int) -> Network:
    """Rebuild a run's network with the weights of one snapshot.

    Returns:
        The network, on the CPU.

    Raises:
        StudyError: If the snapshot is missing, damaged or of another network.
    """
    with torch.device("meta"):  # the snapshot brings every value
        network = Network(description.network, description.inputs, description.classes)
    path = run.snapshot_path(description.variant, seed, epoch)
    try:
        network.load_state_dict(load_file(path), assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(
            f"{path}: cannot be read ({reason}); restore it: dvc checkout, or dvc repro"
        ) from None
    return network


if __name__ == "__main__":
    sys.exit(run_stage(main))
