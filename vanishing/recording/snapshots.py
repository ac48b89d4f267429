"""Statistics of the snapshots of one training run, taken on a probe of test examples."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.networks.build import build_empty
from vanishing.networks.weights import restore
from vanishing.params.extract import Extract
from vanishing.paths import snapshot
from vanishing.recording.probe import LayerRecord, Recording, record
from vanishing.recording.streams import blocks_of, describe_streams
from vanishing.results.run import RunRecord
from vanishing.stats.exact import displacement, summarize
from vanishing.stats.gradients import hops_and_attenuation
from vanishing.stats.histograms import HISTOGRAMS
from vanishing.stats.units import (
    fraction_active,
    fraction_constant,
    fraction_dead,
    fraction_flat,
    saturation,
)

Rows = list[dict[str, Any]]


class SnapshotRows(NamedTuple):
    """Rows of the tables of these names, without `variant` and `seed`."""

    layers: Rows
    histograms: Rows
    units: Rows


def probe_snapshots(
    run: RunRecord, steps: Mapping[int, int], test: Examples, settings: Extract
) -> SnapshotRows:
    """Probe every snapshot of a training run.

    Args:
        run: Its record.
        steps: {epoch: the number of steps taken by its end}, with every snapshot's epoch.
        test: On the device to compute on; its first `probe_size` examples are the probe.
        settings: Sizes of the probe and of its batches.

    Returns:
        The rows of layers.parquet, histograms.parquet and units.parquet.
    """
    rows = SnapshotRows([], [], [])
    probe = test.first(settings.probe_size)
    start: dict[tuple[str, str], Tensor] = {}  # as from `_matrices`, of the first snapshot
    label = f"{run.variant} seed {run.seed}"
    for epoch in tqdm(run.train.snapshots, desc=label, unit="snapshot", disable=None):
        network = load_network(run, epoch).to(test.inputs.device)
        recording = record(
            network, probe, settings.batch_size, blocks=blocks_of(network, run.network)
        )
        start = start or _matrices(recording)
        moment = {"epoch": epoch, "step": steps[epoch]}
        for table, snapshot_rows in zip(rows, _describe(recording, start), strict=True):
            table += [{**moment, **row} for row in snapshot_rows]
    return rows


def _matrices(recording: Recording) -> dict[tuple[str, str], Tensor]:
    """Return {(layer, parameter): values} of the parameters of two dimensions or more."""
    return {
        (name, matrix): layer.tensors[matrix]
        for name, layer in recording.layers.items()
        for matrix in layer.matrices
    }


def _describe(recording: Recording, start: dict[tuple[str, str], Tensor]) -> SnapshotRows:
    """Return the rows of one snapshot, without `epoch` and `step`."""
    rows = SnapshotRows([], [], [])
    gradients = {}
    for index, (name, layer) in enumerate(recording.layers.items()):
        location = {"layer_index": index, "layer": name}
        summaries = summarize_layer(
            layer, {matrix: start[name, matrix] for matrix in layer.matrices}
        )
        gradients[name] = summaries.get("backpropagated_gradient", {"rms": math.nan})["rms"]
        rows.layers.extend(
            {**location, "tensor": tensor, "statistic": statistic, "value": value}
            for tensor, summary in summaries.items()
            for statistic, value in summary.items()
        )
        rows.units.extend({**location, **row} for row in describe_units(layer))
        rows.histograms.extend({**location, **row} for row in _count(layer))
    rows.layers.extend(hops_and_attenuation(gradients))
    rows.layers.extend(describe_streams(recording))
    return rows


def summarize_layer(layer: LayerRecord, start: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Summarize every tensor of one layer.

    Besides the statistics of `exact.summarize`, which every tensor has:

    - `fan_in` and `fan_out` of a matrix, such as the weight: W has the shape (fan_out, fan_in); in
      a convolution both are multiplied by the number of positions of the kernel
    - `displacement` of a matrix, as `exact.displacement`
    - `saturation` of the preactivation, and `fraction_dead` and `fraction_constant` of the
      activation, as in `units`; where no activation follows there are none

    Args:
        layer: The layer's record.
        start: {matrix: its values at initialisation}.

    Returns:
        {tensor: {statistic: value}}.
    """
    summaries = {tensor: summarize(values) for tensor, values in layer.tensors.items()}
    for name in layer.matrices:
        matrix = layer.tensors[name]
        summaries[name] |= {
            "fan_in": float(matrix[0].numel()),
            "fan_out": float(matrix.numel() // matrix.shape[1]),
            "displacement": displacement(matrix, start[name]),
        }
    if layer.activation is not None:
        z, phi = layer.tensors["preactivation"], layer.tensors["activation"]
        summaries["preactivation"]["saturation"] = saturation(z, layer.activation)
        summaries["activation"]["fraction_dead"] = fraction_dead(phi)
        summaries["activation"]["fraction_constant"] = fraction_constant(phi)
    return summaries


def describe_units(layer: LayerRecord) -> Rows:
    """Describe each unit of one layer; there are no rows where no activation follows.

    Returns:
        Rows with unit, fraction_active and fraction_flat, as in `units`.
    """
    if layer.activation is None:
        return []
    active = fraction_active(layer.tensors["activation"]).tolist()
    flat = fraction_flat(layer.tensors["preactivation"], layer.activation).tolist()
    return [
        {"unit": unit, "fraction_active": share_active, "fraction_flat": share_flat}
        for unit, (share_active, share_flat) in enumerate(zip(active, flat, strict=True))
    ]


def _count(layer: LayerRecord) -> Rows:
    """Return rows of tensor, scale, bin_left, bin_right and count."""
    return [
        {"tensor": tensor, "scale": scale}
        | {"bin_left": b.left, "bin_right": b.right, "count": b.count}
        for tensor, values in layer.tensors.items()
        for scale, histogram in HISTOGRAMS.items()
        for b in histogram(values)
    ]


def load_network(run: RunRecord, epoch: int) -> nn.Module:
    """Rebuild a run's network with the weights of one snapshot.

    Returns:
        The network, on the CPU.

    Raises:
        StudyError: If the snapshot is missing, damaged or of another network.
    """
    network = build_empty(run.network, run.inputs, run.classes)
    path = snapshot(run.variant, run.seed, epoch)
    try:
        restore(network, load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"{path}: cannot be read ({reason}); restore it: dvc repro") from None
    return network
