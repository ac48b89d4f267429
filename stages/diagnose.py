"""Judge every variant and every claim: `python -m stages diagnose`.

In: params.yaml (`claims`, `diagnose`, `variants`, `train`), the module of the claims, every table
in data/training, data/statistics and data/initialisation. Out: reports/metrics.json (DVC metrics,
by variant), reports/health.json (a row per variant for its learning, and one per check),
reports/claims.json (a row per claim) and reports/runs.json (a row per training run: its machine,
its own numbers, and whether it learns).
"""

import argparse

from vanishing import paths
from vanishing.judging.learning.rows import of_run
from vanishing.judging.ledger import load_ledger
from vanishing.judging.study import TABLES, judge_study
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.pipeline.leftovers import remove_leftovers
from vanishing.results import run, summaries, tables
from vanishing.results.run import RecordedRun, RunRecord


def prepare() -> None:
    """Remove the outputs of variants and seeds that params.yaml no longer has.

    The stage depends on the folders that hold them, and fails if its inputs change while it runs.
    """
    params = load(Params)
    remove_leftovers(params.variants, params.train.seeds)


def main(argv: list[str]) -> None:
    """Judge the variants of params.yaml, and the claims."""
    argparse.ArgumentParser(prog="python -m stages diagnose", description=__doc__).parse_args(argv)
    params = load(Params)
    names, seeds = params.variants, params.train.seeds
    frames = {table: tables.read(table, names, seeds) for table in TABLES}
    records = {(name, seed): run.load_any(name, seed) for name in names for seed in seeds}
    classes = {n: r.classes for (n, _), r in records.items() if isinstance(r, RunRecord)}
    watched = {n: r.watched for (n, _), r in records.items() if isinstance(r, RecordedRun)}
    judgement = judge_study(params, frames, classes, load_ledger(params), watched)
    summaries.write(paths.METRICS, judgement.metrics)
    summaries.write(paths.HEALTH, judgement.checks)
    summaries.write(paths.CLAIMS, judgement.claims)
    runs = [
        {
            "variant": name,
            "seed": seed,
            "machine": record.machine.model_dump(),
            "metrics": judgement.runs[name][seed],
            "learning": of_run(judgement.learning[name][seed]),
        }
        for (name, seed), record in records.items()
    ]
    summaries.write(paths.RUNS, runs)
