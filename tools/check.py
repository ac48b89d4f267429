"""Hold the health verdicts against params.yaml's expectations: `python -m tools.check`.

In: params.yaml (`expect`) and reports/health.json. Out: a line per expectation that does not hold,
and then exit status 1; the gate for continuous integration.
"""

import sys

from vanishing.errors import StudyError, run_command
from vanishing.files import HEALTH
from vanishing.judging import verdicts
from vanishing.params import base as section
from vanishing.params.base import PATH
from vanishing.params.diagnose import Params


def main(_argv: list[str]) -> None:
    """Compare, and say how many expectations hold.

    Raises:
        StudyError: If one does not hold, or the verdicts are missing.
    """
    expected = section.load(Params).expect
    checks = verdicts.read(HEALTH)
    missing = sorted(set(expected) - {row["variant"] for row in checks})
    if missing:
        raise StudyError(f"{HEALTH}: lacks {', '.join(missing)}; run: dvc repro")
    lines = verdicts.unmet(checks, expected)
    if lines:
        raise StudyError("\n".join(f"{PATH}: expect.{line}" for line in lines))
    print(f"all {sum(map(len, expected.values()))} expectations hold")


if __name__ == "__main__":
    sys.exit(run_command(main))
