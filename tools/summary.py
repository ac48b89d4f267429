"""What `make repro` closes with: `python -m tools.summary`.

In: reports/metrics.json. Out: a short table, the report's path and how to open MLflow, on stdout.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from vanishing.errors import run_command
from vanishing.files import METRICS, REPORTS, read_json
from vanishing.reporting.markdown import number, percent

HEADERS = ("variant", "test accuracy", "attenuation at initialisation", "verdict")
ALIGNED = ("left", "right", "right", "left")


def main(_argv: list[str]) -> None:
    """Print the summary."""
    print(summary(REPORTS))


def summary(reports: Path) -> str:
    """Return the closing table of the report in `reports`, and where to read on."""
    metrics = read_json(reports / METRICS.name)
    rows = [
        [
            name,
            percent(values["test_accuracy"]),
            number(values["attenuation_init"]),
            values["verdict"],
        ]
        for name, values in metrics.items()
    ]
    table = tabulate(rows, HEADERS, disable_numparse=True, colalign=ALIGNED)
    return f"\n{table}\n\nreport: {reports / 'README.md'}\nMLflow: make ui"


if __name__ == "__main__":
    sys.exit(run_command(main))
