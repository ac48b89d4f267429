"""Check all of params.yaml, and try what it names: `python -m stages validate`.

In: params.yaml, data/raw, the module of its claims and those of the study that repeats it, the code
of the study's own networks, recorded runs and the folders of results. Out: data/validated, always
the same; on stderr a warning for each variant that differs from its reference in more than one
thing. Every stage checks the sections that it reads; but DVC removes a stage's outputs before it
starts the stage, and hands the variants' names to a shell. So `train` and `initialise` depend on
this stage's output: it runs after any edit of params.yaml or of such code, and as its output never
changes, nothing else does.
"""

import argparse

from vanishing.datasets.registry import DATASETS
from vanishing.files import write_text
from vanishing.judging.ledger import load_ledger
from vanishing.judging.repetition import load_repetition
from vanishing.networks.memory import check_study as check_memory
from vanishing.params.comparisons import warn_of_impure
from vanishing.params.data import Computed
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.study import Built
from vanishing.paths import RAW, VALIDATED
from vanishing.pipeline.folders import check_folders
from vanishing.results import recorded


def main(argv: list[str]) -> None:
    """Check params.yaml, claims, recorded runs, memory, folders, networks; warn of comparisons."""
    argparse.ArgumentParser(prog="python -m stages validate", description=__doc__).parse_args(argv)
    params = load(Params)
    check_folders()
    load_repetition(params, [claim.id for claim in load_ledger(params).claims])
    recorded.check(params)
    is_built = any(isinstance(variant, Built) for variant in params.trained.values())
    if is_built or isinstance(params.data, Computed):
        _try(params, is_built)
    else:
        check_memory(params, DATASETS[params.data.dataset])
    warn_of_impure(params)
    if not VALIDATED.exists():
        write_text(VALIDATED, "params.yaml is valid\n")


def _try(params: Params, has_networks: bool) -> None:
    """Check memory, and the networks that functions return, on the dataset as it is."""
    from vanishing.datasets import examples  # noqa: PLC0415 - torch, which most studies' checks
    from vanishing.networks.trial import try_networks  # noqa: PLC0415 - do not need

    dataset = examples.describe(RAW, params.data)
    check_memory(params, dataset)
    if has_networks:
        try_networks(params, examples.load(RAW, "train", params.data), dataset.classes)
