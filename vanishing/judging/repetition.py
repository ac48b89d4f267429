"""The same statements, judged by another study with more seeds."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from vanishing.errors import StudyError
from vanishing.files import read_json
from vanishing.judging.verdicts import INCONCLUSIVE, Row
from vanishing.params.diagnose import Params
from vanishing.paths import PARAMS, REPORT

# What more seeds say of a verdict. One that was inconclusive with fewer is decided or stays open.
CONFIRMED, UNCONFIRMED, TURNED = "confirmed", "not confirmed", "turned"
DECIDED, OPEN = "decided", "inconclusive too"

_KEY = f"{PARAMS}: repeated_by"


class Repetition(NamedTuple):
    """A study of the same statements with more seeds.

    Attributes:
        claims: {id: row of its claims.json}, of the statements about trained networks.
        report: Path of its report, from this study's reports/.
    """

    claims: Mapping[str, Row]
    report: str

    @property
    def seeds(self) -> int:
        """How many seeds it has."""
        return max((int(row["n"]) for row in self.claims.values()), default=0)

    def answer(self, row: Row) -> str | None:
        """Say what its verdict is for this study's.

        Args:
            row: Of this study's claims.json.

        Returns:
            CONFIRMED where both are the same and none is inconclusive, UNCONFIRMED where more seeds
            are inconclusive, TURNED where they contradict; for a verdict that is inconclusive here
            DECIDED or OPEN. None of a statement that the other study does not judge over seeds.
        """
        if row["id"] not in self.claims:
            return None
        verdict = self.claims[row["id"]]["verdict"]
        if row["verdict"] == INCONCLUSIVE:
            return OPEN if verdict == INCONCLUSIVE else DECIDED
        if verdict == INCONCLUSIVE:
            return UNCONFIRMED
        return CONFIRMED if verdict == row["verdict"] else TURNED


def load_repetition(study: Params, ids: Collection[str]) -> Repetition | None:
    """Read the claims of the study that repeats this one.

    Args:
        study: With the key `repeated_by`.
        ids: Of the claims of this study.

    Returns:
        What the other study says of these claims; None where there is no other study.

    Raises:
        StudyError: If its claims cannot be read, or none of them is one of this study.
    """
    if not study.is_repeated:
        return None
    path = Path(study.repeated_by)
    try:
        rows = read_json(path)
        claims = {row["id"]: row for row in rows if "p_holm" in row and row["id"] in ids}
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no list of claims"
        raise StudyError(f"{_KEY}: {path}: cannot be read ({reason})") from None
    if not claims:
        raise StudyError(f"{_KEY}: {path}: judges no claim of this study over several seeds")
    report = path.resolve().with_name(REPORT.name)  # GitHub follows no link to a folder
    return Repetition(claims, Path(os.path.relpath(report, REPORT.parent.resolve())).as_posix())
