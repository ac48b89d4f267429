"""A whole study judged: metrics, health and claims from the tables of all variants."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tqdm import tqdm

from vanishing.activations import ACTIVATIONS
from vanishing.judging.claims import judge_all
from vanishing.judging.effects import Tables
from vanishing.judging.health import Subject, examine
from vanishing.judging.learning.rows import to_row, worst
from vanishing.judging.learning.trained import run_of
from vanishing.judging.learning.verdict import judge_learning
from vanishing.judging.ledger import Ledger
from vanishing.judging.metrics import (
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
from vanishing.paths import TABLES_BY_VARIANT

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
        learning: {variant: {seed: row of its verdict on learning}}, likewise.
        checks: Rows of reports/health.json: of each variant its worst verdict on learning, and then
            the checks of the rules.
        claims: Rows of reports/claims.json.
    """

    metrics: dict[str, dict[str, Any]]
    runs: dict[str, dict[int, Metrics]]
    learning: dict[str, dict[int, Row]]
    checks: list[Row]
    claims: list[Row]


def judge_study(
    settings: Params,
    tables: Tables,
    classes: Mapping[str, int],
    ledger: Ledger,
    records: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Judgement:
    """Compute every variant's metrics, judge its learning and its health, and judge the claims.

    Shows its progress by variant where standard error is a terminal.

    Args:
        settings: All of params.yaml.
        tables: {table: frame of all variants}, for each of TABLES.
        classes: {variant: number of classes}, of those that the study trains.
        ledger: The claims.
        records: {variant: the description of its run}, of those that are recorded.

    Returns:
        The judgement, variants in the order of params.yaml.
    """
    positions = {table: tables[table].groupby("variant").indices for table in TABLES}
    metrics: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[int, Metrics]] = {}
    learning: dict[str, dict[int, Row]] = {}
    checks: list[Row] = []
    for name, variant in tqdm(
        settings.variants.items(), desc="diagnose", unit="variant", disable=None
    ):
        tables_of_variant = {
            table: tables[table].iloc[positions[table].get(name, [])].reset_index(drop=True)
            for table in TABLES
        }
        if isinstance(variant, Recorded):
            run = Run(name, tables_of_variant, records.get(name, {}))
            judged = _judge_recorded(run, settings)
        else:
            activation = ACTIVATIONS[variant.activation] if isinstance(variant, Variant) else None
            subject = Subject(name, activation, classes[name], tables_of_variant)
            judged = _judge_trained(subject, settings)
        learning[name] = judged.learning
        rows = [worst(judged.learning), *judged.checks]
        checks += rows
        metrics[name] = judged.metrics | {"verdict": summarise(rows)}
        runs[name] = judged.runs
    _complete(metrics, runs)
    if len(settings.trained) < len(settings.variants):
        tables = {
            table: frame[frame["variant"].isin(settings.trained)] for table, frame in tables.items()
        }
    rows_of_claims = judge_all(ledger.claims, ledger.expected, tables, settings)
    return Judgement(metrics, runs, learning, checks, rows_of_claims)


class _Judged(NamedTuple):
    """A variant: its metrics, those of each run, each run's learning, and the rules' checks."""

    metrics: Metrics
    runs: dict[int, Metrics]
    learning: dict[int, Row]
    checks: list[Row]


def _judge_trained(subject: Subject, settings: Params) -> _Judged:
    name = subject.name
    optimizer = settings.training(name).optimizer
    runs, learning = {}, {}
    for seed in settings.train.seeds:
        tables = {
            table: rows[rows["seed"] == seed]
            for table, rows in subject.tables.items()
            if table not in TABLES_BY_VARIANT
        }
        runs[seed] = compute_run_metrics(tables)
        verdict = judge_learning(run_of(name, tables, subject.classes, optimizer))
        learning[seed] = to_row(name, verdict, seed)
    checks = examine(subject, settings.diagnose)
    return _Judged(compute_metrics(subject.tables), runs, learning, checks)


def _judge_recorded(run: Run, settings: Params) -> _Judged:
    metrics, verdict = compute_recorded_metrics(run), judge_learning(run)
    seeds = settings.train.seeds
    return _Judged(
        metrics,
        dict.fromkeys(seeds, metrics),
        dict.fromkeys(seeds, to_row(run.name, verdict)),
        examine_run(run, settings.diagnose),
    )


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
