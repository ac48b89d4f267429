"""Print the closing table of `make repro`: `python -m tools.summary`.

In: params.yaml (`root`) and reports/metrics.json. Out, on stdout: a row per variant, the path of
the report from the root of the repository, and the command that opens MLflow.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from vanishing import paths
from vanishing.errors import run_command
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.reporting.markdown import number, percent
from vanishing.results import summaries

_HEADERS = ("variant", "test accuracy", "attenuation at initialisation", "verdict")
_ALIGNMENT = ("left", "right", "right", "left")


def main(_argv: list[str]) -> None:
    """Print the table of the study in the working directory."""
    rows = [
        [
            name,
            percent(metrics["test_accuracy"]),
            number(metrics["attenuation_init"]),
            metrics["verdict"],
        ]
        for name, metrics in summaries.read(paths.METRICS).items()
    ]
    table = tabulate(rows, _HEADERS, disable_numparse=True, colalign=_ALIGNMENT)
    folder = Path.cwd().relative_to(Path(load(Study).root).resolve())
    print(f"\n{table}\n\nreport: {folder / paths.REPORT}\nMLflow: make ui")


if __name__ == "__main__":
    sys.exit(run_command(main))
