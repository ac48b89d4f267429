"""The factors of a study's networks: at initialisation, and as they are after training."""

import pandas as pd
from torch.nn.functional import cross_entropy

from vanishing.datasets.examples import Examples
from vanishing.errors import StudyError
from vanishing.explaining.explain import explain
from vanishing.recording.snapshots import load_network
from vanishing.results.run import RunRecord


def explain_snapshots(run: RunRecord, test: Examples, batch_size: int) -> pd.DataFrame:
    """Split the attenuation of the first and the last snapshot into factors.

    Args:
        run: The record of a training run.
        test: On the device to compute on; its first `batch_size` examples go through the network.
        batch_size: As in training.

    Returns:
        Rows of `results.factors.FACTORS` with the column `epoch`; none where no path leads to the
        input, or a network cannot be explained.
    """
    probe = test.first(batch_size)
    tables = []
    for epoch in sorted({run.train.snapshots[0], run.train.snapshots[-1]}):
        network = load_network(run, epoch).to(test.inputs.device)
        try:
            explanation = explain(network, (probe.inputs, probe.labels), cross_entropy)
        except StudyError:  # of a network whose backward pass cannot be taken apart
            continue
        tables.append(explanation.table.assign(epoch=epoch))
    return pd.concat(tables) if tables else pd.DataFrame()
