"""Write the report: `python -m stages.report`.

In: params.yaml, reports/metrics.json and reports/figures. Out: reports/README.md, which GitHub
shows when the folder is opened. Every number in it comes from a file.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tabulate import tabulate

from stages.core import params, results
from stages.core.errors import run_command
from stages.core.files import REPORTS, read_json, write_text
from stages.core.params import Params, Variant

TEMPLATE = Path(__file__).parent / "core" / "report.md.j2"

AGREEMENT = 0.03  # |measured / predicted - 1| per hop within which theory is said to hold

Metrics = dict[str, dict[str, Any]]


def main(argv: list[str]) -> None:
    """Write the report."""
    argparse.ArgumentParser(prog="python -m stages.report", description=__doc__).parse_args(argv)
    write_text(REPORTS / "README.md", report(params.load(), read_json(results.METRICS)))


def report(settings: Params, metrics: Metrics) -> str:
    """Fill the template.

    Returns:
        The report, in GitHub's Markdown.
    """
    environment = Environment(  # noqa: S701 - Markdown, and every name has passed params.py
        loader=FileSystemLoader(TEMPLATE.parent), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent}
    deviations = {
        name: values["hop_deviation"]
        for name, values in metrics.items()
        if values["hop_deviation"] is not None
    }
    verdicts = {name: values["verdict"].split(", ") for name, values in metrics.items()}
    return environment.get_template(TEMPLATE.name).render(
        data=settings.data,
        train=settings.train,
        extract=settings.extract,
        diagnose=settings.diagnose,
        baseline=settings.baseline,
        metrics=metrics,
        table=table(settings.variants, metrics),
        theory=theory_table(metrics),
        within=[name for name, deviation in deviations.items() if deviation <= AGREEMENT],
        beyond=[name for name, deviation in deviations.items() if deviation > AGREEMENT],
        agreement=AGREEMENT,
        low={key: extreme(metrics, key, min) for key in numeric_keys(metrics)},
        high={key: extreme(metrics, key, max) for key in numeric_keys(metrics)},
        vanishing=[name for name, (gradient, _) in verdicts.items() if gradient == "vanishing"],
        at_chance=[name for name, (_, training) in verdicts.items() if training == "at chance"],
        diverged=[name for name, (_, training) in verdicts.items() if training == "diverged"],
    )


def table(variants: dict[str, Variant], metrics: Metrics) -> str:
    """Lay the variants out as a Markdown table, a row each."""
    rows = [
        [
            name,
            difference(variants, name),
            percent(values["test_accuracy"]),
            nats(values["train_loss"]),
            nats(values["generalization_gap"]),
            number(values["attenuation_init"]),
            number(values["attenuation_final"]),
            values["verdict"],
        ]
        for name, values in metrics.items()
    ]
    headers = [
        "variant",
        "differs from its reference in",
        "test accuracy",
        "train loss (nats)",
        "generalization gap (nats)",
        "attenuation at initialisation",
        "attenuation at the end",
        "verdict",
    ]
    aligned = ("left", "left", "right", "right", "right", "right", "right", "left")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=aligned)


def theory_table(metrics: Metrics) -> str:
    """Lay theory and measurement at initialisation out as a Markdown table, a row per variant."""
    rows = [
        [
            name,
            available(values["hop_theory"]),
            available(values["hop_fresh"]),
            available(values["hop_deviation"]),
            available(values["attenuation_theory"]),
            number(values["attenuation_fresh"]),
            f"{number(values['attenuation_fresh_low'])} to"
            f" {number(values['attenuation_fresh_high'])}",
        ]
        for name, values in metrics.items()
    ]
    headers = [
        "variant",
        "factor per hop, theory",
        "measured",
        "largest deviation of a hop",
        "attenuation, theory",
        "measured",
        "95 % interval",
    ]
    aligned = ("left", *["right"] * 6)
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=aligned)


def available(value: float | None) -> str:
    """Write a number that theory has a part in, to three significant digits."""
    return "not available" if value is None else f"{value:.3g}"


def difference(variants: dict[str, Variant], name: str) -> str:
    """Say what sets a variant apart from the one that it is compared to."""
    reference = variants[name].compare_to
    if reference is None:
        return "(reference)"
    changes = variants[name].differences(variants[reference])
    return f"{reference}: " + ", ".join(f"{key} {new}".lower() for key, (_, new) in changes.items())


def numeric_keys(metrics: Metrics) -> list[str]:
    """Return the metrics that are numbers."""
    return [key for key in next(iter(metrics.values())) if key != "verdict"]


def extreme(metrics: Metrics, key: str, choose: Any) -> tuple[str, float | None]:
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


def number(value: float | None) -> str:
    """Write a number to three significant digits."""
    return "not finite" if value is None else f"{value:.3g}"


def nats(value: float | None) -> str:
    """Write a loss to four decimals."""
    return "not finite" if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
    return "not finite" if value is None else f"{value:.1%}"


if __name__ == "__main__":
    sys.exit(run_command(main))
