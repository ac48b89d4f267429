"""Fresh initialisations of a variant, at its own depth and at others: no training needed."""

from collections.abc import Iterable
from typing import Any

from vanishing.datasets.examples import Examples
from vanishing.datasets.idx import CLASSES
from vanishing.networks.mlp import build
from vanishing.params.study import Variant
from vanishing.recording.probe import record
from vanishing.seeds import generator
from vanishing.stats import exact as statistics

Rows = list[dict[str, Any]]


def measure(
    variant: Variant, probe: Examples, batch_size: int, depth: int, seeds: Iterable[int]
) -> Rows:
    """Record a variant at another depth, freshly initialised with each seed.

    - `rms` of every tensor of `recording.record`
    - `saturation` of the preactivation, as `statistics.saturation`
    - `hop` and `attenuation` of the backpropagated gradient, as `statistics.passage`

    Args:
        variant: The network; its depth is replaced.
        probe: On the device to compute on.
        batch_size: Examples per pass.
        depth: Hidden layers.
        seeds: Each seeds one initialisation; seed S is the one that training with seed S starts
            from, where the depth is the variant's own.

    Returns:
        Rows of initialisation.parquet, without `variant`.
    """
    rows: Rows = []
    for seed in seeds:
        network = build(
            variant.model_copy(update={"depth": depth}),
            probe.images.shape[1],
            CLASSES,
            generator(seed, "initialisation"),
        ).to(probe.images.device)
        recorded = record(network, probe, batch_size, noise=False)
        gradients = {}
        run = {"depth": depth, "seed": seed}
        for index, (layer, seen) in enumerate(recorded.items()):
            where = {**run, "layer_index": index, "layer": layer}
            for tensor, values in seen.tensors.items():
                value = float(statistics.rms(values))
                rows.append({**where, "tensor": tensor, "statistic": "rms", "value": value})
                if tensor == "backpropagated_gradient":
                    gradients[layer] = value
            if seen.activation is not None:
                value = statistics.saturation(seen.tensors["preactivation"], seen.activation)
                rows.append(
                    {**where, "tensor": "preactivation", "statistic": "saturation", "value": value}
                )
        rows += [{**run, **row} for row in statistics.passage(gradients)]
    return rows
