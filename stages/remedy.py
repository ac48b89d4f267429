"""Look for what helps a variant: `python -m stages remedy V`.

In: params.yaml (`data`, `train`, `variants.V`) and data/raw; the variant is trained anew, for a few
steps, and with changes. Out: reports/remedies/V.md, which says what to do and what was tried, and
reports/remedies/V.json, the same as numbers. It runs for the variants of `remedies`.
"""

import argparse

from vanishing import device, paths
from vanishing.datasets import examples
from vanishing.errors import StudyError
from vanishing.files import write_json, write_text
from vanishing.params.load import load
from vanishing.params.study import Recorded, Study
from vanishing.remedies.page import markdown, page
from vanishing.remedies.remedy import search
from vanishing.remedies.variant import task_of


def main(argv: list[str]) -> None:
    """Find the remedy of the variant that the command line names, and write the page.

    Raises:
        StudyError: If the variant is a recorded run, which has no network to be changed.
    """
    parser = argparse.ArgumentParser(prog="python -m stages remedy", description=__doc__)
    parser.add_argument("variant", help="a key of `variants` in params.yaml")
    name = parser.parse_args(argv).variant
    study = load(Study)
    variant = study.variant(name)
    if isinstance(variant, Recorded):
        raise StudyError(f"{paths.PARAMS}: variants.{name}: a recorded run cannot be changed")
    target = device.resolve(study.train.device)
    train, test = (
        examples.load(paths.RAW, split, study.data).to(target) for split in examples.SPLITS
    )
    classes = examples.describe(paths.RAW, study.data).classes
    advice = search(task_of(variant, study.training(name), (train, test), classes))
    write_text(page(name, ".md"), markdown(name, advice))
    write_json(page(name, ".json"), advice.as_dict())
    print(f"{name}: {advice.sentence}")
