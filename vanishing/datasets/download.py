"""The files of a dataset, downloaded from the first source that serves each, and checked."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from vanishing.datasets.sources import FAILURES, Fetch
from vanishing.errors import StudyError
from vanishing.files import replacing, sha256


def download(folder: Path, checksums: Mapping[str, str], available: Mapping[str, Fetch]) -> None:
    """Fill `folder` with the files of `checksums`, each from the first source that serves it.

    A file takes its place only after its checksum has been compared; one that is in place and has
    the right checksum is kept.

    Args:
        folder: The files' folder.
        checksums: {file name: SHA-256 of the unpacked file}.
        available: {name of a source: its fetch function}, tried in this order.

    Raises:
        StudyError: If no source serves a file; it lists each source and its reason.
    """
    missing = {name: sha for name, sha in checksums.items() if not _matches(folder / name, sha)}
    reasons: list[str] = []
    for source, fetch in available.items():
        if not missing:
            break
        with tempfile.TemporaryDirectory() as scratch:
            try:
                fetch(Path(scratch), list(missing))
            except FAILURES as error:
                reasons.append(f"{source}: {' '.join(str(error).split()) or type(error).__name__}")
            for name, sha in list(missing.items()):
                fetched = Path(scratch) / name
                if _matches(fetched, sha):
                    _place(fetched, folder / name)
                    del missing[name]
                elif fetched.exists():
                    reasons.append(
                        f"{source}: {name} has SHA-256 {sha256(fetched)}, not {sha}; deleted"
                    )
        print(f"{source}: {len(checksums) - len(missing)} of {len(checksums)} files in place")
    if missing:
        names = ", ".join(missing)
        raise StudyError("\n".join([f"no source serves {names}; tried:", *reasons]))


def _matches(path: Path, sha: str) -> bool:
    """Tell whether a file exists and has this checksum."""
    return path.is_file() and sha256(path) == sha


def _place(fetched: Path, destination: Path) -> None:
    with replacing(destination) as temporary:
        temporary.write_bytes(fetched.read_bytes())
