"""A whole study judged: metrics, health and claims from the tables of all variants."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tqdm import tqdm

from vanishing.activations import ACTIVATIONS
from vanishing.judging.claims import judge_all
from vanishing.judging.effects import Tables
from vanishing.judging.health import Subject, examine
from vanishing.judging.ledger import Ledger
from vanishing.judging.metrics import (
    TABLES_OF_A_RUN,
    Metrics,
    compute_metrics,
    compute_recorded_metrics,
    compute_run_metrics,
)
from vanishing.judging.runs import Run
from vanishing.judging.runs import examine as examine_run
from vanishing.judging.verdicts import Row, summarise
from vanishing.params.diagnose import Params
from vanishing.params.study import Recorded, Variant

# Every table that a metric, a rule or a claim needs.
TABLES = (
    "history",
    "losses",
    "trace",
    "layers",
    "histograms",
    "units",
    "initialisation",
    "depths",
    "theory",
)


class Judgement(NamedTuple):
    """What `judge_study` returns, numbers not rounded.

    Attributes:
        metrics: {variant: {metric: value}}, and the verdict in words under `verdict`.
        runs: {variant: {seed: {metric: value}}}, of each training run alone.
        checks: Rows of reports/health.json.
        claims: Rows of reports/claims.json.
    """

    metrics: dict[str, dict[str, Any]]
    runs: dict[str, dict[int, Metrics]]
    checks: list[Row]
    claims: list[Row]


def judge_study(
    settings: Params, tables: Tables, classes: Mapping[str, int], ledger: Ledger
) -> Judgement:
    """Compute every variant's metrics, apply the health rules to it, and judge the claims.

    Shows its progress by variant where standard error is a terminal.

    Args:
        settings: All of params.yaml.
        tables: {table: frame of all variants}, for each of TABLES.
        classes: {variant: number of classes}, of those that the study trains.
        ledger: The claims.

    Returns:
        The judgement, variants in the order of params.yaml.
    """
    positions = {table: tables[table].groupby("variant").indices for table in TABLES}
    metrics: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[int, Metrics]] = {}
    checks: list[Row] = []
    for name, variant in tqdm(
        settings.variants.items(), desc="diagnose", unit="variant", disable=None
    ):
        tables_of_variant = {
            table: tables[table].iloc[positions[table].get(name, [])].reset_index(drop=True)
            for table in TABLES
        }
        if isinstance(variant, Recorded):
            run = Run(name, tables_of_variant)
            rows = examine_run(run, settings.diagnose)
            numbers = compute_recorded_metrics(run)
            of_seeds = dict.fromkeys(settings.train.seeds, numbers)
        else:
            activation = ACTIVATIONS[variant.activation] if isinstance(variant, Variant) else None
            subject = Subject(name, activation, classes[name], tables_of_variant)
            rows = examine(subject, settings.diagnose)
            numbers = compute_metrics(tables_of_variant)
            of_seeds = {seed: _run(tables_of_variant, seed) for seed in settings.train.seeds}
        checks += rows
        metrics[name] = numbers | {"verdict": summarise(rows)}
        runs[name] = of_seeds
    _complete(metrics, runs)
    if len(settings.trained) < len(settings.variants):
        tables = {
            table: frame[frame["variant"].isin(settings.trained)] for table, frame in tables.items()
        }
    rows_of_claims = judge_all(ledger.claims, ledger.expected, tables, settings)
    return Judgement(metrics, runs, checks, rows_of_claims)


def _complete(metrics: dict[str, dict[str, Any]], runs: dict[str, dict[int, Metrics]]) -> None:
    """Give every variant the metrics that one of them has, as NaN, in the same order.

    A recorded run lacks most, and networks that are not recurrent those through time.
    """
    of_variants = max(metrics.values(), key=len)
    of_runs = max((values for by_seed in runs.values() for values in by_seed.values()), key=len)
    for name, by_seed in runs.items():
        metrics[name] = dict.fromkeys(of_variants, math.nan) | metrics[name]
        for seed, values in by_seed.items():
            by_seed[seed] = dict.fromkeys(of_runs, math.nan) | values


def _run(tables: Tables, seed: int) -> Metrics:
    """Compute the numbers of one training run from the variant's tables."""
    rows = {table: tables[table][tables[table]["seed"] == seed] for table in TABLES_OF_A_RUN}
    return compute_run_metrics(rows)
