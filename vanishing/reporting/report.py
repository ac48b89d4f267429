"""The study's main page: the template report.md.j2, filled with numbers from the JSON files."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined

from vanishing import paths
from vanishing.judging.claims import AFTER_RESULTS
from vanishing.judging.factors import describe_each
from vanishing.judging.findings import enumerate_all, findings, uncertainties
from vanishing.judging.ledger import FIRST_FIGURES, Opening
from vanishing.judging.repetition import Repetition
from vanishing.judging.verdicts import Row
from vanishing.params.answers import TOO_EARLY, WILL_NOT_LEARN
from vanishing.params.comparisons import impure, shared_conditions
from vanishing.params.diagnose import Params
from vanishing.params.optimizers import Sgd
from vanishing.params.study import NONE, Recorded, Training
from vanishing.reporting import markdown, selection
from vanishing.reporting.selection import Metrics
from vanishing.results.summaries import DIGITS

AGREEMENT = 0.03  # |measured / predicted - 1| per hop within which theory is said to hold

_OPTIMIZERS = {  # in a sentence
    "sgd": "stochastic gradient descent",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
}
_CLAIMS = {"cause": "Causes", "effect": "Effects", "remedy": "Remedies"}  # {kind: its title}

FILTERS: dict[str, Callable[..., str]] = {
    "capitalise": markdown.capitalise,
    "effect": markdown.effect,
    "enumerate_all": enumerate_all,
    "enumerate_names": markdown.enumerate_names,
    "interval": markdown.interval,
    "number": markdown.number,
    "p_value": markdown.p_value,
    "p_equals": markdown.p_equals,
    "percent": markdown.percent,
}


class Claims(NamedTuple):
    """The claims of a study, as the report shows them.

    Attributes:
        rows: As in reports/claims.json.
        effects: The source of the functions that effects are made of.
        written_down: The page of the limits, from the repository's root.
        opening: How the report begins, where the study's author says it.
        repetition: The same statements with more seeds, where a study has them.
    """

    rows: list[Row]
    effects: str
    written_down: str
    opening: Opening | None = None
    repetition: Repetition | None = None


def fill_template(
    template: str,
    settings: Params,
    metrics: Metrics,
    checks: list[Row],
    claims: Claims,
    factors: pd.DataFrame,
) -> str:
    """Write the report.

    Args:
        template: The text of report.md.j2.
        settings: All of params.yaml.
        metrics: As in reports/metrics.json.
        checks: As in reports/health.json.
        claims: Those of the study.
        factors: As of `results.factors.read_factors`, of one seed.

    Returns:
        The report, in GitHub's Markdown.
    """
    environment = Environment(  # noqa: S701 - Markdown, and every name has passed the validation
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    names = selection.choose_variants(metrics, settings.baseline)
    values = (
        _settings(settings)
        | _selection(settings, metrics, names)
        | _tables(settings, metrics, checks, names)
        | _claims(settings, claims)
        | _findings(metrics)
        | {"opening": claims.opening, "first_figure": _first_figure(claims.opening)}
        | {"findings": findings(settings, metrics, claims.rows)}
        | {"metrics": metrics, "digits": DIGITS}
        | {"why": _factors_list(factors[factors["variant"].isin(names)])}
        | {"remedies": settings.remedies}
    )
    return environment.from_string(template).render(values)


def _first_figure(opening: Opening | None) -> str:
    """Return the figure of the first screen: the opening's, where this study has one like it."""
    drawn = opening is not None and paths.figure(opening.figure).exists()
    return opening.figure if opening and drawn else FIRST_FIGURES[0]


def _settings(settings: Params) -> dict[str, Any]:
    """Return the parameters that the report names."""
    return {
        "data": settings.data,
        "train": settings.train,
        "training": describe_training(settings.train),
        "snapshots": settings.training(settings.baseline).snapshots,
        "extract": settings.extract,
        "below": settings.diagnose.vanishing_attenuation.below,
        "baseline": settings.baseline,
        "impure": impure(settings),
        "overriding": [name for name, variant in settings.trained.items() if variant.training],
        "shared": shared_conditions(settings),
        "of_one_network": len(settings.perceptrons) == len(settings.trained),
        "trained": list(settings.trained),
        "recorded": {
            name: variant.recorded
            for name, variant in settings.variants.items()
            if isinstance(variant, Recorded)
        },
        "to_root": "../" if settings.root == "." else f"../{settings.root}/",  # from reports/
    }


def describe_training(training: Training) -> str:
    """Say how networks are trained, as `stochastic gradient descent (learning rate 0.1, …)`."""
    _, *settings = training.optimizer.model_dump(exclude_defaults=True).items()
    name = _OPTIMIZERS[training.optimizer.name]
    if isinstance(training.optimizer, Sgd) and training.optimizer.momentum:
        name += " with momentum"
    details = [f"{key.replace('_', ' ')} {markdown.setting(value)}" for key, value in settings]
    details.append(f"batches of {training.batch_size}")
    if training.clip_norm != NONE:
        details.append(f"gradients scaled down to a norm of {training.clip_norm:g}")
    if training.precision != "float32":
        details.append(f"mixed precision with {training.precision}")
    return f"{name} ({', '.join(details)})"


def _selection(settings: Params, metrics: Metrics, names: list[str]) -> dict[str, Any]:
    """Return which variants the report shows, and which of its figures depend on that."""
    return {
        "shown": names,
        "left_out": len(metrics) - len(names),
        "epochs_in_plots": selection.EPOCHS,
        "figures": [path.stem for path in paths.FIGURES.glob("*.png")],
        "has_xavier_pairs": bool(selection.xavier_pairs(settings, names)),
    }


def _claims(settings: Params, claims: Claims) -> dict[str, Any]:
    """Return what the report says of its claims."""
    return {
        "claims": claims.rows,
        "counts": Counter(row["verdict"] for row in claims.rows),
        "late": sum(AFTER_RESULTS in row["evidence"] for row in claims.rows),
        "effects": claims.effects.rstrip(),
        "written_down": claims.written_down,
        "is_of_article": settings.is_of_article,
        "uncertainties": uncertainties(settings, claims.rows, claims.repetition),
        "repetition": claims.repetition,
        "claims_tables": {
            title: markdown.claims_table(rows, settings.is_of_article, claims.repetition)
            for kind, title in _CLAIMS.items()
            if (rows := [row for row in claims.rows if row["kind"] == kind])
        },
    }


def _tables(
    settings: Params, metrics: Metrics, checks: list[Row], names: list[str]
) -> dict[str, Any]:
    """Return the report's tables, of the variants in `names`."""
    shown_metrics = {name: metrics[name] for name in names}
    shown_checks = [row for row in checks if row["variant"] in shown_metrics]
    return {
        "verdicts_table": markdown.verdicts_table(metrics, names),
        "variants_table": markdown.variants_table(settings, shown_metrics),
        "theory_table": markdown.theory_table(
            {name: metrics[name] for name in names if name in settings.trained}
        ),
        "has_hops": any(values["hop_fresh"] is not None for values in shown_metrics.values()),
        "time_theory_table": markdown.time_theory_table(shown_metrics),
        "learning_table": markdown.learning_table(shown_checks),
        "health_table": markdown.health_table(shown_checks),
        "problems_table": markdown.problems_table(shown_checks),
    }


def _findings(metrics: Metrics) -> dict[str, Any]:
    """Return the variants that the report's sentences name, from all of them."""
    keys = numeric_keys(metrics)
    deviations = {
        name: values["hop_deviation"]
        for name, values in metrics.items()
        if values["hop_deviation"] is not None
    }
    verdicts = {name: values["verdict"].split(", ") for name, values in metrics.items()}
    return {
        "agreement": AGREEMENT,
        "within": [name for name, deviation in deviations.items() if deviation <= AGREEMENT],
        "beyond": [name for name, deviation in deviations.items() if deviation > AGREEMENT],
        "low": {key: find_extreme(metrics, key, min) for key in keys},
        "high": {key: find_extreme(metrics, key, max) for key in keys},
        "vanishing": [name for name, (gradient, _) in verdicts.items() if gradient == "vanishing"],
        "failed": [name for name, (_, training) in verdicts.items() if training == WILL_NOT_LEARN],
        "undecided": [name for name, (_, training) in verdicts.items() if training == TOO_EARLY],
    }


def numeric_keys(metrics: Metrics) -> list[str]:
    """Return the metrics that are numbers."""
    return [key for key in next(iter(metrics.values())) if key != "verdict"]


def find_extreme(
    metrics: Metrics, key: str, choose: Callable[..., Any]
) -> tuple[str, float | None]:
    """Return the variant with the smallest or the largest value of a metric, and that value.

    Args:
        metrics: By variant.
        key: Of the metric.
        choose: `min` or `max`.

    Returns:
        The variant and the value; ("none", None) where no variant has a finite one.
    """
    finite = {name: values[key] for name, values in metrics.items() if values[key] is not None}
    name = choose(finite, key=finite.__getitem__, default="none")
    return name, finite.get(name)


def _factors_list(factors: pd.DataFrame) -> list[str]:
    """Say of each variant in which factors its gradient is lost, at the first and the last epoch.

    Args:
        factors: As of `results.factors.read_factors`, of one seed.

    Returns:
        An item per variant that has factors.
    """
    items = []
    for name, rows in factors.groupby("variant", sort=False):
        (_, first), *later = describe_each(rows, "epoch")
        last = f" After epoch {later[-1][0]}: {later[-1][1]}" if later else ""
        items.append(f"`{name}`: {first}{last}")
    return items
