"""Judge every variant and every claim: `python -m stages.diagnose`.

In: params.yaml (`diagnose`, `variants`), every variant's tables in models/ and data/statistics/.
Out: reports/metrics.json (DVC metrics, by variant), reports/health.json (a row per variant and
check), reports/claims.json (a row per claim) and reports/plots/*.csv (for `dvc plots`, of the
variants that `selection` shows).
"""

import argparse
import math
import sys
from typing import Any

import pandas as pd
from tqdm import tqdm

from vanishing import files
from vanishing.activations import ACTIVATIONS
from vanishing.errors import StudyError, run_command
from vanishing.files import REPORTS, write_json, write_text
from vanishing.judging import claims, health, metrics, verdicts
from vanishing.judging.article import CLAIMS
from vanishing.params import base as section
from vanishing.params.diagnose import Params
from vanishing.pipeline.guard import run_stage
from vanishing.reporting import selection
from vanishing.results import run
from vanishing.results import tables as results
from vanishing.results.tables import select

# What the claims are about, some of them all variants at once; the other tables are larger.
JUDGED = ("history", "losses", "layers", "histograms", "initialisation", "depths", "theory")


def tidy(_argv: list[str]) -> None:
    """Remove what is left of variants that params.yaml no longer has."""
    for folder in (files.MODELS, files.STATISTICS):
        if not folder.is_dir():
            raise StudyError(f"{folder}: missing; run: dvc repro")
    results.remove_leftovers(section.load(Params).variants)


def main(argv: list[str]) -> None:
    """Judge the variants of params.yaml, and the claims."""
    argparse.ArgumentParser(prog="python -m stages.diagnose", description=__doc__).parse_args(argv)
    settings = section.load(Params)
    measured: dict[str, dict[str, Any]] = {}
    checks: list[dict[str, Any]] = []
    for name, variant in tqdm(
        settings.variants.items(), desc="diagnose", unit="variant", disable=None
    ):
        tables = {table: results.read(table, [name]) for table in results.TABLES}
        activation = ACTIVATIONS[variant.activation]
        subject = health.Subject(name, activation, run.load(name).classes, tables)
        own = health.examine(subject, settings.diagnose)
        checks += own
        verdict = {"verdict": verdicts.in_words(own)}
        measured[name] = metrics.measure(tables, variant.depth) | verdict
    tables = {table: results.read(table, settings.variants) for table in JUDGED}
    judged = [claims.judge(claim, tables, settings.variants) for claim in CLAIMS]
    found = rounded(measured)
    shown = selection.shown(found, settings.baseline)
    write_json(files.METRICS, found)
    write_json(files.HEALTH, rounded(checks))
    write_json(files.CLAIMS, rounded(judged))
    write_text(REPORTS / "plots" / "curves.csv", curves(of(shown, tables["history"])))
    write_text(REPORTS / "plots" / "gradients.csv", gradients(of(shown, tables["layers"])))


def of(variants: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of some variants."""
    return table[table["variant"].isin(variants)]


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
    """Return losses and accuracies by variant and epoch, mean over the seeds, as CSV.

    Of more than `selection.EPOCHS` epochs these many, at even distances.

    Returns:
        Its text.
    """
    epochs = sorted(history["epoch"].unique())
    few = [epochs[index] for index in selection.spread(len(epochs), selection.EPOCHS)]
    history = history[history["epoch"].isin(few)]
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
    # First, because a stage fails if what it depends on changes while it runs, by whoever.
    sys.exit(run_command(tidy) or run_stage(main))
