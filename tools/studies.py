"""Where the studies of a repository are, in the working tree."""

from pathlib import Path

STUDIES = Path("studies")  # further studies are its sub-folders; the first is the root


def study_folders(root: Path, file: Path) -> list[Path]:
    """Return the folder of the root's study, and those of further studies that have a file."""
    return [root, *(path.parent for path in sorted((root / STUDIES).glob(f"*/{file}")))]
