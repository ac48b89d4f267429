"""Take the fingerprints of the code: `python -m stages fingerprint`.

In: dvc.yaml, params.yaml (`claims`, `data.dataset`, `variants`), the code, recorded runs. Out:
data/fingerprints/STAGE and data/fingerprints/variants/V, which change when the code that a stage or
a variant uses does, or the run that a variant is.
"""

import argparse

from vanishing.files import write_text
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.pipeline.fingerprint import fingerprints


def main(argv: list[str]) -> None:
    """Write a fingerprint per stage and variant."""
    argparse.ArgumentParser(prog="python -m stages fingerprint", description=__doc__).parse_args(
        argv
    )
    for path, text in fingerprints(load(Judged)).items():
        write_text(path, text)
