"""Take statistics of one variant's snapshots: `python -m stages.extract V`.

In: params.yaml (`extract`), models/V and the test images in data/raw. Out: data/statistics/V with
layers.parquet and histograms.parquet, one group of rows per seed, snapshot, weight layer and
tensor.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from stages.core import device, idx, params, run, statistics, tables
from stages.core.errors import StudyError, run_command
from stages.core.files import RAW, STATISTICS
from stages.core.idx import Examples
from stages.core.network import Network
from stages.core.params import Extract
from stages.core.recording import Recording, record
from stages.core.run import Run

Rows = list[dict[str, Any]]


def main(argv: list[str]) -> None:
    """Extract the statistics of the variant that the command line names.

    Raises:
        StudyError: If the weights are those of other parameters than params.yaml has.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.extract", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    settings = params.load()
    variant = settings.variant(name)
    description = run.load(name)
    if description.network != variant:
        raise StudyError(
            f"{run.description_path(name)}: these weights were trained with other parameters than"
            f" params.yaml has now; train them anew: dvc repro train@{name}"
        )
    target = device.resolve(description.train.device)
    test = idx.load(RAW, "test", description.data).to(target)
    probe = Examples(*(tensor[: settings.extract.probe_size] for tensor in test))
    layers, histograms = extract(description, probe, settings.extract)
    folder = STATISTICS / name
    tables.write(folder / "layers.parquet", layers, tables.LAYERS)
    tables.write(folder / "histograms.parquet", histograms, tables.HISTOGRAMS)


def extract(description: Run, probe: Examples, settings: Extract) -> tuple[Rows, Rows]:
    """Probe every snapshot of a run.

    Returns:
        The rows of layers.parquet and of histograms.parquet.
    """
    layers: Rows = []
    histograms: Rows = []
    history = tables.read([run.history_path(description.variant)], tables.HISTORY)
    steps = history.set_index(["seed", "epoch"])["step"]
    snapshots = [(s, e) for s in description.train.seeds for e in description.train.snapshots]
    for seed, epoch in tqdm(snapshots, desc=description.variant, unit="snapshot", disable=None):
        network = load_network(description, seed, epoch).to(probe.images.device)
        where = {
            "variant": description.variant,
            "seed": seed,
            "epoch": epoch,
            "step": int(steps.loc[seed, epoch]),
        }
        recording = record(network, probe, settings.batch_size)
        for key, values in named_tensors(recording):
            layers += [
                {**where, **key, "statistic": statistic, "value": value}
                for statistic, value in statistics.summarize(values, settings.tiny).items()
            ]
            for scale, histogram in statistics.HISTOGRAMS.items():
                histograms += [
                    {**where, **key, "scale": scale}
                    | {"bin_left": b.left, "bin_right": b.right, "count": b.count}
                    for b in histogram(values)
                ]
    return layers, histograms


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


def named_tensors(recording: Recording) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yield what is recorded with its columns `layer_index`, `layer` and `tensor`.

    Yields:
        The columns and the values.
    """
    for index, (layer, tensors) in enumerate(recording.items()):
        for tensor, values in tensors.items():
            yield {"layer_index": index, "layer": layer, "tensor": tensor}, values


if __name__ == "__main__":
    sys.exit(run_command(main))
