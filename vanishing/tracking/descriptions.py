"""The descriptions of MLflow's runs and experiment, in Markdown, and the tags that hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

from vanishing.files import digest
from vanishing.params.answers import LEARNS, TOO_EARLY, WILL_NOT_LEARN
from vanishing.params.comparisons import differences
from vanishing.params.study import Recorded, Study
from vanishing.paths import REPORT
from vanishing.tracking import pages
from vanishing.tracking.tags import DESCRIBED, NOTE

# By the second verdict of the words (vanishing.judging.verdicts.summarise)
_TRAINING = {
    WILL_NOT_LEARN: "the network will not learn",
    TOO_EARLY: "whether the network learns is too early to say",
    LEARNS: "the network learns",
}


def tags(text: str) -> dict[str, str]:
    """Return the tags of a description, with its digest: a person may change the text."""
    return {NOTE: text, DESCRIBED: digest(text)}


def of_variant(study: Study, variant: str, metrics: Mapping[str, Any]) -> str:
    """Describe a variant: how it differs from its reference, and its verdict in a sentence.

    Args:
        study: With the variant.
        variant: Its name.
        metrics: Its entry of reports/metrics.json.

    Returns:
        The description.
    """
    gradient, training = metrics["verdict"].split(", ")
    attenuation = _number(metrics["attenuation_init"], ".3g")
    settings = study.variants[variant]
    if isinstance(settings, Recorded):
        return (
            f"A training that `vanishing.watch` recorded in `{settings.recorded}`, beside"
            f" `{settings.compare_to}`. Nothing was trained or tested here.\n\nAt the first traced"
            f" step the gradient is {gradient} (attenuation {attenuation}); {_TRAINING[training]}."
        )
    accuracy = _number(metrics["test_accuracy"], ".1%")
    sentence = (
        f"At initialisation the gradient is {gradient} (attenuation {attenuation});"
        f" {_TRAINING[training]} (test accuracy {accuracy})."
    )
    return f"{_difference(study, variant)}\n\n{sentence}"


def of_run(study: Study, variant: str, seed: int, metrics: Mapping[str, Any]) -> str:
    """Describe a training run: of which variant it is one, and what holds for all its seeds."""
    if variant not in study.trained:
        return of_variant(study, variant, metrics)
    count = len(study.train.seeds)
    seeds = f"one of {count} seeds" if count > 1 else "its only seed"
    return f"{of_variant(study, variant, metrics)}\n\nTrained with seed {seed}, {seeds}."


def of_report() -> str:
    """Describe the report's run."""
    return f"The study's report, its figures and its numbers: {REPORT} among the artifacts."


def of_experiment(
    study: Study, experiment_id: str, report_id: str | None, findings: Sequence[str]
) -> str:
    """Describe the experiment; its first line is what MLflow shows above each of its pages.

    Args:
        study: Its variants and seeds.
        experiment_id: MLflow's id of it.
        report_id: MLflow's id of the report's run; None before there is one.
        findings: Sentences in Markdown.

    Returns:
        The description.
    """
    links = {
        "charts": pages.of_view(experiment_id, pages.CHARTS),
        "table": pages.of_view(experiment_id, pages.TABLE),
    }
    if report_id:
        links["report"] = pages.of_artifact(experiment_id, report_id, REPORT.as_posix())
    count = len(study.variants)
    paragraphs = [
        f"Does the gradient vanish? {count} network{'s' if count > 1 else ''} on"
        f" {study.data.dataset}: " + ", ".join(f"[{name}]({link})" for name, link in links.items()),
        "A run per variant, with the means over its seeds, and a run per training run nested under"
        " it. `attenuation` is by epoch: rms(dL/dz) of the first weight layer over that of the last"
        " hidden one. `gradient_by_layer_…` has rms(dL/dz) of the layer that MLflow calls a step"
        " (0: nearest the input); `weight_gradient_…` is ‖dL/dW‖ of a layer, by step.",
    ]
    if findings:
        paragraphs += ["**Findings**", "\n".join(f"- {finding}" for finding in findings)]
    return "\n\n".join(paragraphs)


def _difference(study: Study, variant: str) -> str:
    """Say in which settings a variant differs from the one that it is compared to."""
    reference = study.variants[variant].compare_to
    if reference is None:
        return "Other variants are compared to this one."
    changed = differences(study, variant)
    if not changed:
        return f"The same network as `{reference}`."
    changes = [
        f"{field} {_setting(ours)} instead of {_setting(theirs)}"
        for field, (theirs, ours) in changed.items()
    ]
    return f"`{reference}` with {', '.join(changes)}."


def _setting(value: Any) -> str:
    """Write a setting as params.yaml has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _number(value: float | None, form: str) -> str:
    return "not finite" if value is None else f"{value:{form}}"
