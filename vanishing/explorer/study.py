"""The content of a study's page, from the files that its stages have left."""

import contextlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from vanishing import paths
from vanishing.explorer import content
from vanishing.explorer.content import plain
from vanishing.explorer.figures import figures_of
from vanishing.explorer.page import Page
from vanishing.initialisers import bias_variance, weight_variance
from vanishing.judging.factors import describe_each
from vanishing.judging.findings import findings
from vanishing.judging.ledger import load_ledger
from vanishing.judging.repetition import Repetition, load_repetition
from vanishing.judging.verdicts import Row, describe
from vanishing.params.answers import LEARNING
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.study import Variant
from vanishing.results import run as training_run
from vanishing.results import summaries, tables
from vanishing.results.factors import read_factors

TABLES = ("layers", "trace", "histograms", "trace_histograms", "history", "losses")


def collect(folder: Path) -> Page:
    """Read a study's results.

    A StudyError says which file is missing or damaged. Relative paths mean the study's folder
    meanwhile, in the whole process.

    Args:
        folder: It has params.yaml.

    Returns:
        The page.
    """
    with contextlib.chdir(folder):
        return _collect(load(Params))


def _collect(study: Params) -> Page:
    names, seeds = list(study.variants), study.train.seeds
    metrics = summaries.read(paths.METRICS)
    claims = summaries.read(paths.CLAIMS)
    checks: dict[str, list[Row]] = defaultdict(list)
    learning: dict[str, Row] = {}
    for row in summaries.read(paths.HEALTH):
        if row["rule"] == LEARNING:
            learning[row["variant"]] = row
        else:
            checks[row["variant"]].append(row)
    repetition = load_repetition(study, [row["id"] for row in claims])
    opening = load_ledger(study).opening
    theory = tables.read("theory", names, seeds)
    frames = {name: {t: tables.read(t, [name], seeds) for t in TABLES} for name in names}
    factors = read_factors(study.trained, seeds[:1])
    runs = content.of_runs(frames)
    for run in runs:
        name = run["name"]
        variant = study.variants[name]
        run |= {
            "verdict": metrics[name]["verdict"],
            "reason": describe(learning[name]) if name in learning else None,
            "rules": content.rules_of(checks[name]),
            "baseline": variant.compare_to,
            "network": _network(variant),
            "theory": _theory(theory[theory["variant"] == name]),
            "why": _why(factors[factors["variant"] == name], dict(run["epochs"])),
            "remedy": f"remedies/{name}.md" if name in study.remedies else None,
        }
    title = f"Vanishing gradients on {study.data.dataset}: {len(names)} networks measured"
    return Page(
        {
            "title": opening.question if opening else title,
            "findings": [plain(text) for text in findings(study, metrics, claims)],
            "runs": runs,
            "claims": [row | {"repeated": _repeated(row, repetition)} for row in claims],
            "figures": figures_of(paths.REPORT) if paths.REPORT.exists() else [],
            "inputs": _inputs(study, theory),
        }
    )


def _repeated(row: Row, repetition: Repetition | None) -> str | None:
    """Say what more seeds say of a statement; None where no study has them."""
    answer = repetition and repetition.answer(row)
    if not repetition or not answer:
        return None
    return f"{answer}: {repetition.claims[row['id']]['verdict']} with {repetition.seeds} seeds"


def _network(variant: Any) -> dict[str, Any] | None:
    """Return the settings that the predictor has, and the normalization; None of other networks."""
    if not isinstance(variant, Variant):
        return None
    keys = {"activation", "init", "std", "depth", "width", "skip", "normalization"}
    return variant.model_dump(include=keys)


def _why(factors: pd.DataFrame, steps: dict[int, int]) -> list[tuple[int, str]]:
    """Return the step of each snapshot that was explained, and why its gradient vanishes."""
    return [(steps[epoch], plain(text)) for epoch, text in describe_each(factors, "epoch")]


def _theory(rows: pd.DataFrame) -> dict[str, list[list[float | int | None]]]:
    """Return [depth, layer, predicted, measured, low, high] of each attenuation and hop."""
    columns = ["depth", "layer_index", "predicted", "measured", "low", "high"]
    return {
        quantity: rows.loc[rows["quantity"] == quantity, columns].astype(object).to_numpy().tolist()
        for quantity in ("attenuation", "hop")
    }


def _inputs(study: Params, theory: pd.DataFrame) -> dict[str, float] | None:
    """Return the number of inputs and their mean square, by which data enter the theory.

    E[z²] of the first layer is inputs · Var(w) · mean square + Var(b), and it was measured.

    Args:
        study: With the variants.
        theory: The table, of all variants.

    Returns:
        `count` and `square`; None of a study without a multilayer perceptron.
    """
    first_q = theory[(theory["quantity"] == "q") & (theory["layer_index"] == 0)]
    measured = first_q.groupby("variant")["measured"].first()
    for name, variant in study.perceptrons.items():
        if name in measured.index and variant.normalization == "none":
            count = training_run.load(name, study.train.seeds[0]).inputs
            variance = weight_variance(variant.init, variant.std, count, variant.width)
            square = (float(measured[name]) - bias_variance(count)) / (count * variance)
            return {"count": count, "square": square}
    return None
