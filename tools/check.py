"""Compare the health verdicts with the expectations in params.yaml: `python -m tools.check`.

In: params.yaml (`expect`) and reports/health.json of the study in the working directory. Out: a
line per expectation that does not hold, and then exit status 1; the gate for continuous
integration.
"""

import sys

from vanishing.errors import StudyError, run_command
from vanishing.judging import verdicts
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.paths import HEALTH, PARAMS
from vanishing.results import summaries


def main(_argv: list[str]) -> None:
    """Print how many expectations hold.

    Raises:
        StudyError: If one does not hold, or the verdicts are missing.
    """
    expected = load(Params).expect
    checks = summaries.read(HEALTH)
    missing = sorted(set(expected) - {row["variant"] for row in checks})
    if missing:
        raise StudyError(f"{HEALTH}: lacks {', '.join(missing)}; run: make repro")
    unmet = verdicts.unmet_expectations(checks, expected)
    if unmet:
        raise StudyError("\n".join(f"{PARAMS}: expect.{line}" for line in unmet))
    print(f"all {sum(map(len, expected.values()))} expectations hold")


if __name__ == "__main__":
    sys.exit(run_command(main))
