"""Compare the health verdicts with the expectations in params.yaml: `python -m tools.check`.

In: params.yaml (`expect`) and reports/health.json of the study in the working directory, with all
that `tools.stale` reads. Out: a line per expectation that does not hold, and then exit status 1;
the gate for continuous integration. Verdicts on other results than the current ones fail as well.
"""

import sys

from tools import stale
from vanishing.errors import StudyError, run_command
from vanishing.judging import verdicts
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.paths import HEALTH, PARAMS
from vanishing.results import summaries


def main(_argv: list[str]) -> None:
    """Print how many expectations hold.

    Raises:
        StudyError: If one does not hold, or the verdicts are missing or stale.
    """
    reasons = stale.stale_stages(stale.dvc_status())
    if stale.JUDGING in reasons:
        raise StudyError(f"{HEALTH}: is stale: {reasons[stale.JUDGING]}; run: make repro")
    print(f"all {check_expectations()} expectations hold")


def check_expectations() -> int:
    """Compare the verdicts in reports/health.json with the expectations.

    Returns:
        How many expectations there are.

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
    return sum(map(len, expected.values()))


if __name__ == "__main__":
    sys.exit(run_command(main))
