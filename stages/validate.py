"""Check all of params.yaml before any other stage runs: `python -m stages validate`.

In: params.yaml, recorded runs and the folders of results. Out: data/validated, always the same; on
stderr a warning for each variant that differs from its reference in more than one thing. Every
stage checks the sections that it reads; but DVC removes a stage's outputs before it starts the
stage, and hands the variants' names to a shell. So `train` and `initialise` depend on this stage's
output: it runs after any edit of params.yaml, and as its output never changes, nothing else does.
"""

import argparse

from vanishing.datasets.registry import DATASETS
from vanishing.files import write_text
from vanishing.networks import memory
from vanishing.params.comparisons import warn_of_impure
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.paths import VALIDATED
from vanishing.pipeline.folders import check_folders
from vanishing.results import recorded


def main(argv: list[str]) -> None:
    """Check params.yaml, recorded runs, memory and folders; warn of impure comparisons."""
    argparse.ArgumentParser(prog="python -m stages validate", description=__doc__).parse_args(argv)
    params = load(Params)
    dataset = DATASETS[params.data.dataset]
    recorded.check(params)
    memory.check_study(params, dataset.inputs, dataset.classes)
    warn_of_impure(params)
    check_folders()
    if not VALIDATED.exists():
        write_text(VALIDATED, "params.yaml is valid\n")
