"""The article's remedies, judged again: `python -m tools.remedies_of_article`.

In: params.yaml, reports/metrics.json and reports/claims.json of the article's study, of that of
depth and of that of optimizers. Out: docs/remedies-of-the-article.md. It is run again when one of
these has changed.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vanishing.errors import StudyError, run_command
from vanishing.files import write_text
from vanishing.judging.claims import AFTER_RESULTS
from vanishing.judging.costs import multiply_adds, optimizer_state, parameters
from vanishing.judging.findings import enumerate_all
from vanishing.judging.ranges import (
    LEARNED,
    OF_NETWORK,
    Point,
    Results,
    describe_range,
    points_along,
    same,
    six_depth_scales,
    steps_alike,
)
from vanishing.params.load import load
from vanishing.params.study import NONE, Study, Variant
from vanishing.paths import CLAIMS, METRICS, PARAMS, REPORT
from vanishing.reporting.markdown import number, percent
from vanishing.results import summaries

PAGE = Path("docs/remedies-of-the-article.md")
ROOT, DEPTH, OPTIMIZERS = "root", "depth", "optimizers"
FOLDERS = {
    ROOT: Path(),
    DEPTH: Path("studies/depth"),
    OPTIMIZERS: Path("studies/optimizers"),
}
NOT_MEASURED = "not measured"
_PIXELS, _CLASSES = 28 * 28, 10  # of MNIST and the sets with its format


class Remedy(NamedTuple):
    """A remedy, and two variants that differ in it.

    Attributes:
        name: As the page has it.
        variant: With the remedy.
        reference: Without.
        study: That has both; a key of FOLDERS.
        relative: A variant of the depth study that has the remedy with another activation, where it
            has none with the same.
    """

    name: str
    variant: str
    reference: str
    study: str = ROOT
    relative: str | None = None


OF_ARTICLE = (
    Remedy("tanh", "tanh", "sigmoid"),
    Remedy("ReLU", "relu", "sigmoid"),
    Remedy("Swish", "swish", "sigmoid"),
    Remedy("Xavier for sigmoid", "sigmoid-xavier", "sigmoid"),
    Remedy("Xavier for tanh", "tanh-xavier", "tanh"),
    Remedy("He for ReLU", "relu-he", "relu"),
    Remedy("batch normalization", "sigmoid-batchnorm", "sigmoid"),
    Remedy("skip connections", "sigmoid-skip", "sigmoid", relative="tanh-skip-50"),
    Remedy("fewer layers", "sigmoid-shallow", "sigmoid"),
)
OF_OPTIMIZERS = (
    Remedy("momentum", "sgd", "sgd-plain", OPTIMIZERS),
    Remedy("Adam", "adam", "sgd", OPTIMIZERS),
    Remedy("RMSprop", "rmsprop", "sgd", OPTIMIZERS),
    Remedy("clipping", "sgd-clipped", "sgd", OPTIMIZERS),
    Remedy("clipping at a huge rate", "sgd-huge-rate-clipped", "sgd-huge-rate", OPTIMIZERS),
    Remedy("a larger learning rate", "sgd-large-rate", "sgd", OPTIMIZERS),
    Remedy("a huge learning rate", "sgd-huge-rate", "sgd", OPTIMIZERS),
)
REMEDIES = OF_ARTICLE + OF_OPTIMIZERS

AllResults = Mapping[str, Results]  # a key of FOLDERS each


def main(_argv: list[str]) -> None:
    """Write the page, from the root of the repository."""
    write_text(PAGE, make_page(read_all()))
    print(PAGE)


def read_all(root: Path = Path()) -> dict[str, Results]:
    """Read the settings and the committed reports of the three studies.

    Args:
        root: Of the repository.

    Returns:
        {study: results}.

    Raises:
        StudyError: If a file is missing or damaged, or lacks a variant of a remedy, or if examples
            are not of MNIST's shape.
    """
    results = {}
    for name, folder in FOLDERS.items():
        place = root / folder
        study = load(Study, place / PARAMS)
        if study.data.dataset not in {"MNIST", "FashionMNIST", "KMNIST"}:
            raise StudyError(
                f"{folder / PARAMS}: data.dataset: should have images of 28 x 28 pixels, as MNIST,"
                f" for costs to be counted; given {study.data.dataset}"
            )
        metrics = summaries.read(place / METRICS)
        needed = [v for r in REMEDIES if r.study == name for v in (r.variant, r.reference)]
        for variant in needed + [r.relative for r in REMEDIES if r.relative and name == DEPTH]:
            if variant not in study.perceptrons or variant not in metrics:
                raise StudyError(
                    f"{folder / METRICS}: has no multilayer perceptron {variant}, of which"
                    f" {PAGE} speaks; run: make repro"
                )
        results[name] = Results(study, metrics, summaries.read(place / CLAIMS))
    return results


def make_page(results: AllResults) -> str:
    """Return the page, Markdown."""
    studies = ", ".join(f"[{name}](../{folder / REPORT})" for name, folder in FOLDERS.items())
    parts = [
        "# The article's remedies, judged again",
        "Made by `make article` from `params.yaml`, `reports/metrics.json` and"
        f" `reports/claims.json` of three studies: {studies}. Each number has its study beside it."
        " [Decision 0029](decisions/0029-the-articles-remedies-judged-again.md) has the rules.",
        "\n\n".join(
            [answer_of_gains(results), answer_of_costs(results), answer_of_limits(results)]
        ),
        "## What each gains",
        "Test accuracy at the end, and the attenuation at initialisation (rms(dL/dz) of the first"
        " hidden layer over that of the last, the mean of fresh initialisations), beside the"
        f" network without the remedy. A network *trains* where its test accuracy is above"
        f" {LEARNED:.0%}.",
        gains_table(results),
        "## What each costs",
        "Counted from shapes, not timed: parameters; multiply-adds of one example's forward pass"
        " in evaluation mode, activation functions aside; numbers that the optimizer keeps for each"
        " parameter. In brackets the change against the network without the remedy.",
        costs_table(results),
        "## Where each stops working",
        "The same network at other depths, widths and learning rates, with its test accuracy, in"
        " whichever of the studies has some. Six depth scales are the hops after which theory"
        " leaves exp(-3) of the gradient, by its factor per hop in the deepest network"
        " (Schoenholz et al. 2017: networks train up to about that depth). A study has one number"
        " of examples and of epochs, so accuracies of two studies do not compare.",
        limits_table(results),
        "## What the ledgers say",
        "The claims about effects and remedies that name these networks, with their verdicts. An"
        f" asterisk marks {AFTER_RESULTS}.",
        claims_table(results),
    ]
    return "\n\n".join(parts) + "\n"


def answer_of_gains(results: AllResults) -> str:
    """Say which of the article's remedies make a network train."""
    root = results[ROOT]
    accuracies = {remedy.name: root.accuracy(remedy.variant) for remedy in OF_ARTICLE}
    best = max(accuracies, key=lambda name: accuracies[name])
    failing = [
        f"{name} ({_percent(value)})" for name, value in accuracies.items() if not value > LEARNED
    ]
    baseline = root.study.baseline
    return (
        f"**What they gain:** {len(OF_ARTICLE) - len(failing)} of the article's {len(OF_ARTICLE)}"
        f" remedies end above {LEARNED:.0%} test accuracy where {baseline} ends at"
        f" {_percent(root.accuracy(baseline))}, most with {best} ({_percent(accuracies[best])})"
        + (f", but not {enumerate_all(failing)}." if failing else ".")
    )


def answer_of_costs(results: AllResults) -> str:
    """Say how much more the article's remedies cost at most, and what saves."""
    changes = {}
    for remedy in OF_ARTICLE:
        (before, after), (adds_before, adds_after) = _costs(results, remedy)
        changes[remedy.name] = after / before - 1, adds_after / adds_before - 1
    most = [max(change[i] for change in changes.values()) for i in (0, 1)]
    saving = [
        f"{name} saves {-change[0]:.1%} and {-change[1]:.1%}"
        for name, change in changes.items()
        if change[0] < 0
    ]
    states = [
        f"{remedy.name} keeps {count} numbers per parameter where its reference keeps {before}"
        for remedy in OF_OPTIMIZERS
        for before, count in [_states(results, remedy)]
        if count != before and results[remedy.study].trains(remedy.variant)
    ]
    return (
        f"**What they cost:** at most {most[0]:.2%} more parameters and {most[1]:.2%} more"
        f" multiply-adds per example{''.join(f'; {text}' for text in saving + states)}."
    )


def answer_of_limits(results: AllResults) -> str:
    """Say between which depths remedies stop, and which optimizers train at all."""
    ranges = []  # not of fewer layers: with more of them it is the network without the remedy
    for remedy in OF_ARTICLE:
        mlps = results[remedy.study].study.perceptrons
        if not same(mlps[remedy.reference], mlps[remedy.variant], ["depth"]):
            continue
        for name in _of_depth_study(results, remedy):
            points = points_along(results[DEPTH], name, "depth")
            named = "" if remedy.relative is None else f" ({name})"
            ranges.append(f"{remedy.name}{named} {describe_range(points, 'layers')}")
    by_end: dict[bool, list[str]] = {True: [], False: []}
    for remedy in OF_OPTIMIZERS:
        by_end[results[remedy.study].trains(remedy.variant)].append(remedy.name)
    return (
        f"**Where they stop:** in the study of depth {'; '.join(ranges)}; of what the study of"
        " optimizers changes, its deep sigmoid network trains with"
        f" {enumerate_all(by_end[True] or ['nothing'])}, and does not with"
        f" {enumerate_all(by_end[False] or ['nothing'])}."
    )


def gains_table(results: AllResults) -> str:
    """Return a row per remedy: accuracy and attenuation with it and without."""
    rows = []
    for remedy in REMEDIES:
        of_study = results[remedy.study]
        with_it, without = (of_study.accuracy(v) for v in (remedy.variant, remedy.reference))
        attenuations = [_attenuation(of_study, v) for v in (remedy.reference, remedy.variant)]
        before, after = attenuations
        factor = after / before if before and after is not None else None
        rows.append(
            [
                remedy.name,
                f"{remedy.variant}, beside {remedy.reference}",
                f"{_percent(without)} → {_percent(with_it)}",
                f"{100 * (with_it - without):+.1f}",
                " → ".join(number(value) for value in attenuations),
                number(factor),
                remedy.study,
            ]
        )
    headers = ["remedy", "network", "test accuracy", "gain in points", "attenuation", "factor"]
    return _table([*headers, "study"], rows)


def costs_table(results: AllResults) -> str:
    """Return a row per remedy: parameters, multiply-adds and the optimizer's state."""
    rows = []
    for remedy in REMEDIES:
        counts = [
            f"{after:,} ({after / before - 1:+.2%})" for before, after in _costs(results, remedy)
        ]
        before, after = _states(results, remedy)
        rows.append([remedy.name, *counts, f"{after} ({after - before:+d})", remedy.study])
    headers = ["remedy", "parameters", "multiply-adds", "optimizer's numbers per parameter"]
    return _table([*headers, "study"], rows)


def limits_table(results: AllResults) -> str:
    """Return a row per remedy: the depths, widths and learning rates at which it was tried."""
    rows = []
    for remedy in REMEDIES:
        depths = list(_depths(results, remedy))
        cells = [_join(depths), _join(_widths(results, remedy)), _join(_rates(results, remedy))]
        rows.append([remedy.name, *cells])
    return _table(["remedy", "depth", "width", "learning rate"], rows)


def claims_table(results: AllResults) -> str:
    """Return a row per remedy: the claims that name its networks, with their verdicts."""
    rows = []
    for remedy in REMEDIES:
        named = {(remedy.study, remedy.variant)}
        for name in _of_depth_study(results, remedy):
            points = points_along(results[DEPTH], name, "depth")
            named |= {(DEPTH, point.variant) for point in points}
        cells = [
            f"{claim['claim'].rstrip('.')}: {claim['verdict']}"
            f"{' *' if AFTER_RESULTS in claim['evidence'] else ''} ({study})"
            for study, of_study in results.items()
            for claim in of_study.claims
            if claim["kind"] != "cause"
            and any(study == s and f'"{variant}"' in claim["formula"] for s, variant in named)
        ]
        rows.append([remedy.name, _join(cells, "none")])
    return _table(["remedy", "claims"], rows)


def _depths(results: AllResults, remedy: Remedy) -> Iterator[str]:
    """Describe, for each study, how a remedy fares at several depths."""
    for study, name in _families(results, remedy):
        of_study = results[study]
        points = points_along(of_study, name, "depth")
        deepest = points[-1]
        if study == DEPTH or len(points) > 1:
            alike = name if name == remedy.relative else f"width {_mlp(of_study, name).width}"
            hop = of_study.metrics[deepest.variant].get("hop_theory")
            yield (
                f"{study}, {alike}: {_list(points)}: {describe_range(points, 'layers')};"
                f" six depth scales: {_six_scales(hop)}"
            )


def _families(results: AllResults, remedy: Remedy) -> Iterator[tuple[str, str]]:
    """Yield (study, variant) for each study that has the remedy's network at some depth."""
    network = _mlp(results[remedy.study], remedy.variant)
    training = results[remedy.study].study.training(remedy.variant)
    for study, of_study in results.items():
        for name, other in of_study.study.perceptrons.items():
            if same(network, other, OF_NETWORK) and steps_alike(
                training, of_study.study.training(name)
            ):
                yield study, name
                break
    if remedy.relative:
        yield DEPTH, remedy.relative


def _of_depth_study(results: AllResults, remedy: Remedy) -> list[str]:
    """Return the first variant of each family of the depth study that has the remedy."""
    return [name for study, name in _families(results, remedy) if study == DEPTH]


def _widths(results: AllResults, remedy: Remedy) -> Iterator[str]:
    """Describe how a remedy fares at several widths, in the study that has them."""
    for study, name in _families(results, remedy):
        points = points_along(results[study], name, "width")
        if len(points) > 1:
            yield f"{study}: {_list(points)}: {describe_range(points, 'units')}"


def _rates(results: AllResults, remedy: Remedy) -> Iterator[str]:
    """Describe how a remedy fares at several learning rates, for each optimizer that was tried.

    A remedy of the network is looked up in the study of optimizers at its own depth; one of the
    optimizer keeps its optimizer.

    Yields:
        A line per optimizer, its settings and whether it clips.
    """
    of_study = results[OPTIMIZERS]
    network = _mlp(results[remedy.study], remedy.variant)
    training = results[remedy.study].study.training(remedy.variant)
    by_optimizer: dict[str, list[Point]] = {}
    for name, other in of_study.study.perceptrons.items():
        settings = of_study.study.training(name)
        clips = settings.clip_norm
        optimizer = settings.optimizer.model_dump(exclude_defaults=True, exclude={"learning_rate"})
        of_remedy = training.optimizer.model_dump(exclude_defaults=True, exclude={"learning_rate"})
        is_tried = same(network, other, (*OF_NETWORK, "depth")) and clips == training.clip_norm
        if is_tried and (remedy.study == ROOT or optimizer == of_remedy):
            words = [str(optimizer.pop("name")), *(f"{k} {v:g}" for k, v in optimizer.items())]
            clipped = [] if clips == NONE else [f"clipped to {clips:g}"]
            point = Point(name, settings.optimizer.learning_rate, of_study.accuracy(name))
            by_optimizer.setdefault(", ".join(words + clipped), []).append(point)
    for described, points in by_optimizer.items():
        points.sort(key=lambda point: point.value)
        yield f"{OPTIMIZERS}, {described}: {_list(points)}: {describe_range(points)}"


def _six_scales(hop: float | None) -> str:
    """Write the hops after which theory's factor per hop leaves exp(-3)."""
    if hop is None:
        return "no theory"
    hops = six_depth_scales(hop)
    if math.isinf(hops):
        return f"no limit, since the factor per hop is {hop:.3g}"
    return f"{hops:.3g} hops"


def _costs(results: AllResults, remedy: Remedy) -> list[tuple[int, int]]:
    """Return (without, with) the remedy, of the parameters and of the multiply-adds."""
    pair = [_mlp(results[remedy.study], v) for v in (remedy.reference, remedy.variant)]
    counts = [[count(v, _PIXELS, _CLASSES) for v in pair] for count in (parameters, multiply_adds)]
    return [(before, after) for before, after in counts]


def _states(results: AllResults, remedy: Remedy) -> tuple[int, int]:
    """Return the optimizer's numbers per parameter, (without, with) the remedy."""
    study = results[remedy.study].study
    before, after = (study.training(v).optimizer for v in (remedy.reference, remedy.variant))
    return optimizer_state(before), optimizer_state(after)


def _attenuation(of_study: Results, variant: str) -> Any:
    return of_study.metrics[variant]["attenuation_fresh"]


def _mlp(of_study: Results, name: str) -> Variant:
    return of_study.study.perceptrons[name]


def _list(points: Iterable[Point]) -> str:
    return ", ".join(f"{point.value:g} ({_percent(point.accuracy)})" for point in points)


def _percent(value: float) -> str:
    return percent(None if math.isnan(value) else value)


def _join(cells: Iterable[str], nothing: str = NOT_MEASURED) -> str:
    return "<br>".join(cells) or nothing


def _table(headers: list[str], rows: list[list[str]]) -> str:
    """Make a Markdown table without padding: cells are of very different lengths."""
    lines = [headers, ["---"] * len(headers), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    sys.exit(run_command(main))
