"""The JSON files in reports/: metrics, health and claims, rounded, written and read."""

import math
from pathlib import Path
from typing import Any

from vanishing.errors import StudyError
from vanishing.files import read_json, write_json

DIGITS = 6  # significant, of every number in the JSON and CSV files of reports/


def write(path: Path, content: Any) -> None:
    """Write a summary with its numbers rounded."""
    write_json(path, rounded(content))


def read(path: Path) -> Any:
    """Read a summary.

    Returns:
        Its content.

    Raises:
        StudyError: If it is missing or damaged.
    """
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StudyError(f"{path}: cannot be read ({reason}); run: dvc repro diagnose") from None


def rounded(content: Any) -> Any:
    """Round every float to DIGITS significant digits; NaN and infinities become None, JSON's null.

    Returns:
        A copy.
    """
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.{DIGITS}g}") if math.isfinite(content) else None
    return content
