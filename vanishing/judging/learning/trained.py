"""A training run of a study, as if it had been watched: what verdicts and causes read of it.

A study traces parameters while it trains; preactivations, activations and their gradients are in
`layers`, of snapshots. What else a watch records (outputs, inputs, groups of the optimizer by step)
is not known, and causes that need it are never named.
"""

import pandas as pd

from vanishing.judging.effects import Tables
from vanishing.judging.runs import OF_MODULES, Run
from vanishing.params.optimizers import Optimizer, in_torch
from vanishing.results.time_steps import STATE


def run_of(name: str, tables: Tables, classes: int, optimizer: Optimizer) -> Run:
    """Return a training run of a study.

    Args:
        name: Of the variant.
        tables: {table: rows of this run alone}: trace, losses, layers and units.
        classes: Number of classes.
        optimizer: With which it was trained, on the mean cross-entropy.

    Returns:
        The run.
    """
    layers, losses = tables["layers"], tables["losses"]
    by_time = layers["tensor"].str.fullmatch(STATE)
    of_modules = layers[layers["tensor"].isin(OF_MODULES) | by_time]
    trace = pd.concat([tables["trace"], of_modules.drop(columns="epoch")])
    kind, settings = in_torch(optimizer)
    return Run(
        name,
        {"trace": trace, "losses": losses, "units": tables["units"]},
        {"optimizers": [{"class": kind, "groups": [{"settings": settings}]}]},  # as a watch has it
        classes,
        int((losses["epoch"] == losses["epoch"].max()).sum()) or None,
    )
