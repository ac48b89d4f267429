"""Measure a variant's fresh initialisations, beside theory: `python -m stages initialise V`.

In: params.yaml (`extract`, `data`, `variants.V`) and the test images in data/raw; no training is
needed. Out: data/initialisation/V with initialisation.parquet (fresh initialisations at the
variant's own depth), depths.parquet (at other depths) and theory.parquet (mean-field predictions of
these, beside the measurements). Of a recorded run there are none: the tables have no rows.
"""

import argparse

import pandas as pd

from vanishing import device, paths
from vanishing.datasets import examples
from vanishing.networks import memory
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.params.study import Built, Recorded, Variant
from vanishing.recording.initialisation import probe_initialisations
from vanishing.results import recorded, tables
from vanishing.theory.comparison import compare
from vanishing.theory.network.built import predict_if_available


def main(argv: list[str]) -> None:
    """Measure the initialisations of the variant that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m stages initialise", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    study = load(Measured)
    variant = study.variant(name)
    if isinstance(variant, Recorded):
        recorded.write_tables(paths.INITIALISATION, name, variant)
        return
    target = device.resolve(study.train.device)
    test = examples.load(paths.RAW, "test", study.data).to(target)
    dataset = examples.describe(paths.RAW, study.data)
    if isinstance(variant, Variant):
        ends, deepest = (dataset.inputs, dataset.classes), study.extract.sweep_depths[-1]
        batch_size = min(study.extract.batch_size, len(test.labels))
        training = study.training(name)
        memory.check("extract.sweep_depths", variant.at_depth(deepest), ends, batch_size, training)
    rows = probe_initialisations(variant, test, dataset.classes, study.extract)
    # Those of the sweep at the variant's own depth are among the others already.
    own_depth = {row["depth"] for row in rows.initialisation}
    other_depths = [row for row in rows.depths if row["depth"] not in own_depth]
    measured = pd.DataFrame(rows.initialisation + other_depths)
    layers = []
    if isinstance(variant, Built):
        probe = test.first(study.extract.init_probe_size)
        layers = predict_if_available(variant, probe.inputs.cpu())
    theory = compare(variant, dataset.inputs, measured, layers)
    for table, content in {**rows._asdict(), "theory": theory}.items():
        tables.write(table, name, content)
