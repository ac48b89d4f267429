"""Take statistics of a training run's snapshots: `python -m stages extract V S`.

In: params.yaml (`extract`), models/V/seed-S, data/training/V/seed-S and the test images in
data/raw. Out: data/statistics/V/seed-S with layers.parquet and histograms.parquet (a group of rows
per snapshot, weight layer and tensor) and units.parquet (a row per snapshot and unit of each hidden
layer); and factors.parquet (the factors of the attenuation of the first and the last snapshot). A
recorded run has no snapshots: its units are those of its traced steps, and the other tables have
no rows.
"""

import argparse

import pandas as pd

from vanishing import device, paths
from vanishing.datasets import examples
from vanishing.errors import StudyError
from vanishing.explaining.snapshots import explain_snapshots
from vanishing.params.extract import Measured
from vanishing.params.load import load
from vanishing.params.study import Recorded
from vanishing.recording.snapshots import probe_snapshots
from vanishing.results import recorded, run, tables
from vanishing.results.factors import write_factors_of_run


def main(argv: list[str]) -> None:
    """Extract the statistics of the training run that the command line names.

    Raises:
        StudyError: If the weights were trained with other parameters than params.yaml has.
    """
    parser = argparse.ArgumentParser(prog="python -m stages extract", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    parser.add_argument("seed", help="an entry of `train.seeds` in params.yaml")
    arguments = parser.parse_args(argv)
    study = load(Measured)
    name, seed = arguments.variant, study.seed(arguments.seed)
    variant = study.variant(name)
    if isinstance(variant, Recorded):
        recorded.write_tables(paths.STATISTICS, name, variant, seed)
        write_factors_of_run(name, seed, pd.DataFrame())
        return
    record = run.load(name, seed)
    if record.network != variant:
        raise StudyError(
            f"{paths.run_record(name, seed)}: these weights were trained with other parameters than"
            f" params.yaml has now; train them anew: dvc repro train@{name}-{seed}"
        )
    target = device.resolve(record.train.device)
    test = examples.load(paths.RAW, "test", record.data).to(target)
    history = tables.read("history", [name], [seed])
    steps = dict(zip(history["epoch"].tolist(), history["step"].tolist(), strict=True))
    rows = probe_snapshots(record, steps, test, study.extract)
    for table, content in rows._asdict().items():
        tables.write(table, name, content, seed)
    factors = explain_snapshots(record, test, study.extract.batch_size)
    write_factors_of_run(name, seed, factors)
