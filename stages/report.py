"""Write the report: `python -m stages report`.

In: params.yaml, reports/metrics.json, health.json and claims.json, reports/figures, the template,
the source of the effects, the module of the claims, the claims.json of the study that repeats this
one and, for the page and the factors, every table in data/. Out: reports/README.md, which GitHub
shows when the folder is opened, and reports/index.html, a page to explore. Every number in them
comes from a file.
"""

import argparse
from pathlib import Path

from vanishing import paths
from vanishing.explorer.page import INDEX
from vanishing.explorer.study import collect
from vanishing.files import write_text
from vanishing.judging.ledger import load_ledger, shown_source
from vanishing.judging.repetition import load_repetition
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.reporting.report import Claims, fill_template
from vanishing.results import summaries
from vanishing.results.factors import read_factors


def main(argv: list[str]) -> None:
    """Write the report."""
    argparse.ArgumentParser(prog="python -m stages report", description=__doc__).parse_args(argv)
    params = load(Params)
    root = Path(params.root)
    ledger = load_ledger(params)
    effects = [(root / paths.EFFECTS).read_text("utf-8").rstrip()]
    effects += filter(None, [shown_source(Path(params.claims).read_text("utf-8"), ledger)])
    claims = summaries.read(paths.CLAIMS)
    factors = read_factors(params.trained, params.train.seeds[:1])
    text = fill_template(
        (root / paths.TEMPLATE).read_text("utf-8"),
        params,
        summaries.read(paths.METRICS),
        summaries.read(paths.HEALTH),
        Claims(
            claims,
            "\n\n\n".join(effects),
            ledger.written_down,
            ledger.opening,
            load_repetition(params, [row["id"] for row in claims]),
        ),
        factors,
    )
    write_text(paths.REPORT, text)
    collect(Path()).save(INDEX)
