"""Made-up packages, written into a folder."""

from collections.abc import Mapping
from pathlib import Path


def write_package(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder.

    Args:
        folder: Created if it is missing.
        files: {path in the folder: text}.
    """
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
