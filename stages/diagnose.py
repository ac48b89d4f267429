"""Judge every variant and every claim: `python -m stages.diagnose`.

In: params.yaml (`diagnose`, `variants`), every variant's tables in models/ and data/statistics/.
Out: reports/metrics.json (DVC metrics, by variant), reports/health.json (a row per variant and
check), reports/claims.json (a row per claim) and reports/plots/*.csv (for `dvc plots`).
"""

import argparse
import math
import sys
from typing import Any

import pandas as pd

from stages.core import claims, files, health, metrics, results, run, verdicts
from stages.core.article import CLAIMS
from stages.core.errors import run_command
from stages.core.files import REPORTS, write_json, write_text
from stages.core.params import section
from stages.core.params.whole import Params
from stages.core.results import select


def main(argv: list[str]) -> None:
    """Judge the variants of params.yaml, and the claims."""
    argparse.ArgumentParser(prog="python -m stages.diagnose", description=__doc__).parse_args(argv)
    settings = section.load(Params)
    names = list(settings.variants)
    results.remove_leftovers(names)
    tables = {table: results.read(table, names) for table in results.TABLES}
    measured: dict[str, dict[str, Any]] = {}
    checks: list[dict[str, Any]] = []
    for name, variant in settings.variants.items():
        subject = health.subject(name, variant.activation, run.load(name).classes, tables)
        own = health.examine(subject, settings.diagnose)
        checks += own
        verdict = {"verdict": verdicts.in_words(own)}
        measured[name] = metrics.measure(subject.tables, variant.depth) | verdict
    judged = [claims.judge(claim, tables, settings.variants) for claim in CLAIMS]
    write_json(files.METRICS, rounded(measured))
    write_json(files.HEALTH, rounded(checks))
    write_json(files.CLAIMS, rounded(judged))
    write_text(REPORTS / "plots" / "curves.csv", curves(tables["history"]))
    write_text(REPORTS / "plots" / "gradients.csv", gradients(tables["layers"]))


def rounded(content: Any) -> Any:
    """Round every float to metrics.DIGITS digits; NaN and infinities become None, JSON's null.

    Returns:
        A copy.
    """
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.{metrics.DIGITS}g}") if math.isfinite(content) else None
    return content


def curves(history: pd.DataFrame) -> str:
    """Return losses and accuracies by variant and epoch, mean over the seeds, as CSV."""
    mean = history.groupby(["variant", "epoch"], sort=False).mean(numeric_only=True)
    return _csv(mean.drop(columns=["seed", "step"]).reset_index())


def gradients(layers: pd.DataFrame) -> str:
    """Return rms(dL/dz) by variant, snapshot and layer, mean over the seeds, as CSV."""
    rms = select(layers, "backpropagated_gradient", "rms")
    mean = rms.groupby(["variant", "epoch", "layer_index"], sort=False)["value"].mean()
    return _csv(mean.rename("rms").reset_index())


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format=f"%.{metrics.DIGITS}g", lineterminator="\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
