"""Draw the figures, and write the data of DVC's plots: `python -m stages render`.

In: params.yaml (`variants`, `train.seeds`), every table in data/, reports/metrics.json and
reports/health.json. Out: reports/figures/*.png, the same bytes for the same numbers, of the
variants that `selection` chooses; reports/figures/variants/*.png, one per variant; and
reports/plots/*.csv.
"""

import argparse
from functools import partial

from tqdm import tqdm

from vanishing import paths
from vanishing.files import write_text
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.reporting import card, dvc_plots, factors, figures
from vanishing.reporting.selection import choose_variants
from vanishing.results import summaries, tables
from vanishing.results.factors import read_factors


def main(argv: list[str]) -> None:
    """Draw every figure."""
    argparse.ArgumentParser(prog="python -m stages render", description=__doc__).parse_args(argv)
    study = load(Study)
    metrics, checks = summaries.read(paths.METRICS), summaries.read(paths.HEALTH)
    names, seeds = choose_variants(metrics, study.baseline), study.train.seeds
    frames = {table: tables.read(table, names, seeds) for table in figures.TABLES}
    drawers = figures.comparisons(study, metrics, checks, frames, names)
    shown = [name for name in names if name in study.trained]
    why = read_factors(shown, seeds[:1])
    if len(why):
        drawers[paths.figure("factors")] = partial(factors.draw_variants, why, "epoch")
    for path, draw in tqdm(drawers.items(), desc="figures", unit="figure", disable=None):
        figures.save(draw, path)
    for name in tqdm(study.variants, desc="variants", unit="figure", disable=None):
        draw_card, names_of_tables = (
            (card.draw_card, card.TABLES)
            if name in study.trained
            else (card.draw_recorded_card, card.TABLES_OF_RECORDED)
        )
        frames_of_variant = {table: tables.read(table, [name], seeds) for table in names_of_tables}
        figures.save(partial(draw_card, name, frames_of_variant), paths.card(name))
    write_text(paths.plot("curves"), dvc_plots.curves(frames["history"]))
    write_text(paths.plot("gradients"), dvc_plots.gradients(frames["layers"]))
