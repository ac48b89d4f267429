"""What a study shows, in plain sentences with their numbers: for the report and for MLflow."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from vanishing.judging.repetition import (
    CONFIRMED,
    DECIDED,
    OPEN,
    TURNED,
    UNCONFIRMED,
    Repetition,
)
from vanishing.judging.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, Row
from vanishing.params.answers import LEARNS
from vanishing.params.comparisons import shared_conditions
from vanishing.params.diagnose import Judged
from vanishing.params.study import Study

Metrics = Mapping[str, Mapping[str, Any]]  # {variant: {metric: value}}, as in reports/metrics.json

_Sentence = Callable[[], str | None]

MOST = 5  # findings; a first screen has no room for more
_NAMED = 3  # variants or statements that a sentence names


def findings(study: Judged, metrics: Metrics, claims: list[Row]) -> list[str]:
    """Say what the study shows, the most important first.

    A study with claims of its own is about them; the article's begins with its baseline.

    Args:
        study: Its variants.
        metrics: As in reports/metrics.json.
        claims: As in reports/claims.json.

    Returns:
        MOST sentences in Markdown, or fewer where results are missing or not finite.
    """
    about_the_baseline: tuple[_Sentence, ...] = (
        lambda: _arrival(study.baseline, metrics[study.baseline]),
        lambda: _rate(study.baseline, metrics),
        lambda: _changes(study, metrics),
        lambda: _late_learners(study.baseline, metrics),
    )
    sentences: tuple[_Sentence, ...] = (
        *about_the_baseline,
        lambda: _refuted(claims),
        lambda: _best(metrics),
    )
    if not study.is_of_article:
        sentences = (
            lambda: _answers(SUPPORTED, claims),
            lambda: _answers(REFUTED, claims),
            lambda: _best(metrics),
            *about_the_baseline,
        )
    return [text for sentence in sentences if (text := sentence())][:MOST]


def uncertainties(
    study: Judged, claims: list[Row], repetition: Repetition | None = None
) -> list[str]:
    """Say which of the results are uncertain, and why.

    Args:
        study: Its seeds.
        claims: As in reports/claims.json.
        repetition: The same statements with more seeds.

    Returns:
        Sentences in Markdown.
    """
    sentences = []
    of_training = [row for row in claims if row["over"] == "seeds"]
    if len(study.train.seeds) == 1 and of_training:
        once = (
            f"Each variant is trained once, so {len(of_training)} of {len(claims)} verdicts have no"
            " interval"
        )
        if repetition is None:
            sentences.append(f"{once}: another seed might turn a close one.")
        else:
            sentences.append(f"{once}. {_repeated(of_training, repetition)}")
    tested = [row for row in claims if "p_holm" in row]
    if tested:
        sentences.append(
            f"{len(tested)} verdicts are about trained networks: Student's t over"
            f" {len(study.train.seeds)} seeds, corrected for their number (Holm)."
        )
    open_claims = [row for row in claims if row["verdict"] == INCONCLUSIVE]
    if open_claims:
        sentences.append(f"{len(open_claims)} inconclusive: {_statements(open_claims)}.")
    conditions = enumerate_all(shared_conditions(study))
    sentences.append(f"{conditions[0].upper()}{conditions[1:]}: others may differ.")
    return sentences


def _repeated(claims: list[Row], repetition: Repetition) -> str:
    """Count what more seeds say of the verdicts, and name those that they change."""
    by_answer: dict[str, list[Row]] = {}
    for row in claims:
        if answer := repetition.answer(row):
            by_answer.setdefault(answer, []).append(row)
    confirmed = len(by_answer.pop(CONFIRMED, []))
    judged = confirmed + sum(map(len, by_answer.values()))
    rest = [
        # Those that are inconclusive in both studies `uncertainties` names anyway.
        f"{len(rows)} {answer}" + (f" ({_statements(rows)})" if answer != OPEN else "")
        for answer in (UNCONFIRMED, TURNED, DECIDED, OPEN)
        if (rows := by_answer.get(answer))
    ]
    parts = "; ".join([f"{confirmed} of these {judged} are {CONFIRMED}", *rest])
    return f"[With {repetition.seeds} seeds]({repetition.report}) {parts}."


def enumerate_all(parts: list[str]) -> str:
    """Name one thing or more in a sentence: `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _arrival(name: str, values: Mapping[str, Any]) -> str | None:
    attenuation, accuracy = values["attenuation_fresh"], values["test_accuracy"]
    if None in (attenuation, accuracy, values["hop_fresh"]):  # no hop: a single hidden layer
        return None
    return (
        f"**The baseline.** In `{name}` the gradient of the first layer is {attenuation:.3g} times"
        f" that of the last hidden layer, before any training. It ends at {accuracy:.1%} test"
        " accuracy."
    )


def _rate(name: str, metrics: Metrics) -> str | None:
    hop, theory = metrics[name]["hop_fresh"], metrics[name]["hop_theory"]
    if hop is None or theory is None:
        return None
    deviations = [
        values["hop_deviation"]
        for values in metrics.values()
        if values["hop_deviation"] is not None
    ]
    return (
        f"**The cause.** Each layer passes {hop:.3g} of the gradient on; mean-field theory says"
        f" {theory:.3g}. In the {len(deviations)} variants that theory covers, no layer is more"
        f" than {max(deviations):.1%} off."
    )


def _changes(study: Study, metrics: Metrics) -> str | None:
    """Name the single changes that bring the attenuation of a vanishing baseline nearest to 1."""
    baseline = study.baseline
    if not _vanishes(metrics[baseline]):
        return None
    changed = {
        name: values
        for name, values in metrics.items()
        if study.variants[name].compare_to == baseline and values["attenuation_fresh"]
    }
    steady = {name: values for name, values in changed.items() if not _vanishes(values)}
    deep = [name for name in steady if steady[name]["hop_fresh"] is not None]  # else it is 1 anyway
    nearest = sorted(deep, key=lambda name: abs(math.log(steady[name]["attenuation_fresh"])))
    if not nearest:
        return None
    named = [f"`{name}` ({steady[name]['attenuation_fresh']:.3g})" for name in nearest[:_NAMED]]
    return (
        f"**The remedies.** {len(steady)} of {len(changed)} single changes to `{baseline}` stop the"
        f" vanishing. Nearest to 1 come {_join(named)}."
    )


def _late_learners(baseline: str, metrics: Metrics) -> str | None:
    """Name the variants whose gradient vanishes at initialisation and that learn all the same."""
    learners = [
        f"`{name}` (gradient {values['attenuation_fresh']:.2g}, accuracy"
        f" {values['test_accuracy']:.1%})"
        for name, values in metrics.items()
        if name != baseline
        and _vanishes(values)
        and values["verdict"].endswith(LEARNS)
        and None not in (values["attenuation_fresh"], values["test_accuracy"])
    ]
    if not learners:
        return None
    verb = "starts" if len(learners) == 1 else "start"
    return (
        f"**No fate.** {_join(learners[:_NAMED])} {verb} with a vanishing gradient too, and"
        f" learn{'s' if len(learners) == 1 else ''} all the same."
    )


def _answers(verdict: str, claims: list[Row]) -> str | None:
    """Count the statements of a verdict, and name the first."""
    rows = [row for row in claims if row["verdict"] == verdict]
    if not rows:
        return None
    return (
        f"**{verdict.capitalize()}** are {len(rows)} of {len(claims)} statements:"
        f" {_statements(rows)}."
    )


def _refuted(claims: list[Row]) -> str | None:
    """Count the refuted statements, and name the first of each kind."""
    refuted = [row for row in claims if row["verdict"] == REFUTED]
    if not refuted:
        return None
    first = {row["kind"]: row for row in reversed(refuted)}
    named = [row for row in refuted if first[row["kind"]] is row]
    return (
        f"**The articles.** {len(refuted)} of {len(claims)} statements are refuted, among them:"
        f" {_statements(named)}."
    )


def _best(metrics: Metrics) -> str | None:
    accuracies = {
        name: values["test_accuracy"]
        for name, values in metrics.items()
        if values["test_accuracy"] is not None
    }
    if not accuracies:
        return None
    best = max(accuracies, key=accuracies.__getitem__)
    return f"**The best.** `{best}` ends with {accuracies[best]:.1%} test accuracy."


def _vanishes(values: Mapping[str, Any]) -> bool:
    return bool(values["verdict"].startswith("vanishing"))


def _statements(rows: list[Row]) -> str:
    """Name statements, and count those beyond _NAMED."""
    named = [f"“{row['claim'].rstrip('.')}”" for row in rows[:_NAMED]]
    more = len(rows) - _NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _join(names: list[str]) -> str:
    """Write names as an enumeration: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
