"""Statistics of a variant's fresh initialisations, at its own depth and at others."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from tqdm import tqdm

from vanishing.datasets.examples import Examples
from vanishing.networks.build import build
from vanishing.params.extract import Extract
from vanishing.params.study import TrainedVariant, Variant
from vanishing.recording.probe import Recording, record
from vanishing.recording.streams import blocks_of, describe_streams
from vanishing.seeds import generator
from vanishing.stats.exact import rms
from vanishing.stats.gradients import hops_and_attenuation
from vanishing.stats.units import saturation

Rows = list[dict[str, Any]]


class InitialisationRows(NamedTuple):
    """Rows of the tables of these names, without `variant`."""

    initialisation: Rows
    depths: Rows


def probe_initialisations(
    variant: TrainedVariant, test: Examples, classes: int, settings: Extract
) -> InitialisationRows:
    """Probe initialisations at the variant's own depth, and fewer at each depth of the sweep.

    Where the sweep has the variant's own depth, its rows are copies of those of the first seeds. A
    network that a function returns has its own depth alone.

    Args:
        variant: The network.
        test: On the device to compute on; its first `init_probe_size` examples are the probe.
        classes: Number of classes.
        settings: Sizes, depths and numbers of seeds.

    Returns:
        The rows of initialisation.parquet and of depths.parquet.
    """
    probe, batch_size = test.first(settings.init_probe_size), settings.batch_size
    initialisation = probe_seeds(variant, probe, classes, batch_size, range(settings.init_seeds))
    seeds = range(settings.sweep_seeds)
    depths: Rows = []
    if not isinstance(variant, Variant):
        return InitialisationRows(initialisation, depths)
    for depth in tqdm(settings.sweep_depths, desc="depths", unit="depth", disable=None):
        if depth == variant.depth:
            depths += [row for row in initialisation if row["seed"] in seeds]
        else:
            depths += probe_seeds(variant.at_depth(depth), probe, classes, batch_size, seeds)
    return InitialisationRows(initialisation, depths)


def probe_seeds(
    variant: TrainedVariant, probe: Examples, classes: int, batch_size: int, seeds: Iterable[int]
) -> Rows:
    """Probe a variant, freshly initialised with each seed.

    - `rms` of every tensor of `probe.record`, as `exact.rms`
    - `saturation` of the preactivation, as `units.saturation`
    - `hop` and `attenuation` of the backpropagated gradient, as `gradients.hops_and_attenuation`
    - what `streams.describe_streams` has of blocks and recurrent layers

    Args:
        variant: The network.
        probe: On the device to compute on.
        classes: Number of classes.
        batch_size: Examples per pass.
        seeds: Each seeds one initialisation; training with the same seed starts from it.

    Returns:
        Rows of initialisation.parquet, without `variant`.
    """
    rows: Rows = []
    inputs = math.prod(probe.inputs.shape[1:])
    for seed in seeds:
        network = build(variant, inputs, classes, generator(seed, "initialisation"))
        recording = record(
            network.to(probe.inputs.device),
            probe,
            batch_size,
            blocks=blocks_of(network, variant),
            sum_in_float64=False,
        )
        depth = len(recording.layers) - 1  # the last is no hidden layer
        rows += [{"depth": depth, "seed": seed, **row} for row in _describe(recording)]
    return rows


def _describe(recording: Recording) -> Rows:
    """Return the rows of one network, without `depth` and `seed`."""
    rows: Rows = []
    gradients = {}
    for index, (name, layer) in enumerate(recording.layers.items()):
        location = {"layer_index": index, "layer": name}
        rms_by_tensor = {tensor: float(rms(values)) for tensor, values in layer.tensors.items()}
        gradients[name] = rms_by_tensor.get("backpropagated_gradient", math.nan)
        rows += [
            {**location, "tensor": tensor, "statistic": "rms", "value": value}
            for tensor, value in rms_by_tensor.items()
        ]
        if layer.activation is not None:
            share = saturation(layer.tensors["preactivation"], layer.activation)
            rows.append(
                {**location, "tensor": "preactivation", "statistic": "saturation", "value": share}
            )
    return rows + hops_and_attenuation(gradients) + describe_streams(recording)
