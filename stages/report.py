"""Write the report: `python -m stages.report`.

In: params.yaml, reports/metrics.json, health.json and claims.json, and reports/figures. Out:
reports/README.md, which GitHub shows when the folder is opened. Every number in it comes from a
file.
"""

import argparse
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vanishing.files import CLAIMS, HEALTH, METRICS, REPORTS, write_text
from vanishing.judging import effects as measures
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.pipeline.guard import run_stage
from vanishing.reporting import markdown, selection
from vanishing.reporting.markdown import Metrics, Rows
from vanishing.results import summaries
from vanishing.results.summaries import DIGITS

TEMPLATE = Path(markdown.__file__).parent / "report.md.j2"
FIGURES = REPORTS / "figures"

AGREEMENT = 0.03  # |measured / predicted - 1| per hop within which theory is said to hold


def main(argv: list[str]) -> None:
    """Write the report."""
    argparse.ArgumentParser(prog="python -m stages.report", description=__doc__).parse_args(argv)
    found = (summaries.read(path) for path in (METRICS, HEALTH, CLAIMS))
    text = report(load(Params), *found)
    write_text(REPORTS / "README.md", text)


def report(settings: Params, metrics: Metrics, checks: Rows, claims: Rows) -> str:
    """Fill the template.

    Returns:
        The report, in GitHub's Markdown.
    """
    environment = Environment(  # noqa: S701 - Markdown, and every name has passed the validation
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("number", "percent", "interval", "effect", "sentence", "listed"):
        environment.filters[name] = getattr(markdown, name)
    deviations = {
        name: values["hop_deviation"]
        for name, values in metrics.items()
        if values["hop_deviation"] is not None
    }
    verdicts = {name: values["verdict"].split(", ") for name, values in metrics.items()}
    keys = numeric_keys(metrics)
    names = selection.shown(metrics, settings.baseline)
    own = {name: metrics[name] for name in names}
    checks = [row for row in checks if row["variant"] in own]
    return environment.get_template(TEMPLATE.name).render(
        data=settings.data,
        train=settings.train,
        extract=settings.extract,
        below=settings.diagnose.vanishing_attenuation.below,
        margin=settings.diagnose.at_chance.margin,
        baseline=settings.baseline,
        metrics=metrics,
        shown=names,
        left_out=len(metrics) - len(names),
        epochs_in_plots=selection.EPOCHS,
        verdicts_table=markdown.verdicts_table(metrics, names),
        variants_table=markdown.variants_table(settings.variants, own),
        theory_table=markdown.theory_table(own),
        claims_table=markdown.claims_table(claims),
        health_table=markdown.health_table(checks),
        problems_table=markdown.problems_table(checks),
        claims=claims,
        counts=Counter(row["verdict"] for row in claims),
        measures=source(),
        digits=DIGITS,
        within=[name for name, deviation in deviations.items() if deviation <= AGREEMENT],
        beyond=[name for name, deviation in deviations.items() if deviation > AGREEMENT],
        agreement=AGREEMENT,
        low={key: extreme(metrics, key, min) for key in keys},
        high={key: extreme(metrics, key, max) for key in keys},
        vanishing=[name for name, (gradient, _) in verdicts.items() if gradient == "vanishing"],
        at_chance=[name for name, (_, training) in verdicts.items() if training == "at chance"],
        diverged=[name for name, (_, training) in verdicts.items() if training == "diverged"],
        figures={path.stem for path in FIGURES.glob("*.png")},
    )


def source() -> str:
    """Return the code of `measures`, without its docstring and imports."""
    text = inspect.getsource(measures)
    return text[text.index("Tables = ") :].rstrip()


def numeric_keys(metrics: Metrics) -> list[str]:
    """Return the metrics that are numbers."""
    return [key for key in next(iter(metrics.values())) if key != "verdict"]


def extreme(metrics: Metrics, key: str, choose: Callable[..., Any]) -> tuple[str, float | None]:
    """Return the variant with the smallest or largest value of a metric, and that value.

    Args:
        metrics: By variant.
        key: Which metric.
        choose: `min` or `max`.

    Returns:
        The variant and the value; ("none", None) where no variant has a finite one.
    """
    finite = {name: values[key] for name, values in metrics.items() if values[key] is not None}
    name = choose(finite, key=finite.__getitem__, default="none")
    return name, finite.get(name)


if __name__ == "__main__":
    sys.exit(run_stage(main))
