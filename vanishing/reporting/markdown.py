"""The report's tables and numbers, in GitHub's Markdown."""

from typing import Any

from tabulate import tabulate

from vanishing.judging.repetition import Repetition
from vanishing.judging.verdicts import PROBLEM, Row, by_kind, describe, mark
from vanishing.params.answers import LEARNING
from vanishing.params.comparisons import differences
from vanishing.params.study import AnyVariant, Recorded, Study
from vanishing.reporting.selection import Metrics, by_verdict
from vanishing.reporting.style import LEARNING_STYLES, RULE_STYLES

MOST_NAMES = 12  # in a sentence
NOT_FINITE = "not finite"


def verdicts_table(metrics: Metrics, shown: list[str]) -> str:
    """Lay out the verdicts: the number of variants with each, and the range of their numbers."""
    rows = []
    for words, names in by_verdict(metrics).items():
        row = [words, str(len(names)), str(len(set(names) & set(shown)))]
        for key, write in (("attenuation_init", number), ("test_accuracy", percent)):
            values = [metrics[name][key] for name in names if metrics[name][key] is not None]
            row += [write(choose(values, default=None)) for choose in (min, max)]
        rows.append(row)
    headers = [
        "verdict",
        "variants",
        "shown here",
        "smallest attenuation at initialisation",
        "largest",
        "lowest test accuracy",
        "highest",
    ]
    return _table(headers, rows, "lrrrrrr")


def variants_table(study: Study, metrics: Metrics) -> str:
    """Lay out variants, a row for each that has metrics."""
    rows = []
    is_recurrent = all("time_attenuation_init" in values for values in metrics.values())
    for name, values in metrics.items():
        missing = missing_number(study.variants[name])
        cells = [
            percent(values["test_accuracy"], missing),
            nats(values["train_loss"], missing),
            nats(values["generalization_gap"], missing),
        ]
        for moment in ("init", "final"):
            cells.append(number(values[f"attenuation_{moment}"], missing))
            if is_recurrent:
                cells.append(number(values[f"time_attenuation_{moment}"], "none"))
        rows.append([name, describe_difference(study, name), *cells, values["verdict"]])
    headers = [
        "variant",
        "differs from its reference in",
        "test accuracy",
        "train loss (nats)",
        "generalization gap (nats)",
    ]
    for moment in ("at initialisation", "at the end"):
        headers.append(f"attenuation {moment}")
        if is_recurrent:
            headers.append(f"through time {moment}")
    return _table([*headers, "verdict"], rows, f"ll{'r' * (len(headers) - 2)}l")


def theory_table(metrics: Metrics) -> str:
    """Lay out theory beside measurement at initialisation, a row per variant."""
    rows = [
        [
            name,
            predicted(values["hop_theory"]),
            predicted(values["hop_fresh"]),
            predicted(values["hop_deviation"]),
            predicted(values["attenuation_theory"]),
            number(values["attenuation_fresh"]),
            interval([values["attenuation_fresh_low"], values["attenuation_fresh_high"]]),
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
    return _table(headers, rows, "lrrrrrr")


def time_theory_table(metrics: Metrics) -> str | None:
    """Lay out theory beside measurement through time, a row per recurrent variant; None if none."""
    rows = [
        [
            name,
            predicted(values["time_hop_theory"]),
            predicted(values["time_hop_fresh"]),
            predicted(values["time_hop_deviation"]),
            predicted(values["time_attenuation_theory"]),
            number(values["time_attenuation_fresh"]),
        ]
        for name, values in metrics.items()
        if values.get("time_attenuation_fresh") is not None
    ]
    headers = [
        "variant",
        "factor per time step, theory",
        "measured",
        "largest deviation of a step",
        "attenuation through time, theory",
        "measured",
    ]
    return _table(headers, rows, "lrrrrr") if rows else None


def claims_table(
    claims: list[Row], is_of_article: bool, repetition: Repetition | None = None
) -> str:
    """Lay out the claims: the statement, its effect and the verdict.

    Of several seeds also p, corrected for the number of claims about trained networks; where
    another study has more seeds, also what these say of the verdict.

    Args:
        claims: Rows as in reports/claims.json.
        is_of_article: Whether the article makes them.
        repetition: The same statements with more seeds.

    Returns:
        The table.
    """
    has_p = any("p_holm" in row for row in claims)
    rows = [
        [
            f"[{row['claim'].rstrip('.')}](#{row['id']})",
            effect(row["effect"]),
            interval(row["interval"]),
            str(row["n"]),
            row["over"],
            *([p_value(row["p_holm"]) if "p_holm" in row else ""] if has_p else []),
            f"**{row['verdict']}**" if row["verdict"] == "refuted" else row["verdict"],
            *([repetition.answer(row) or ""] if repetition else []),
        ]
        for row in claims
    ]
    claim = "the article says" if is_of_article else "the claim"
    headers = [claim, "effect", "95 % interval", "n", "over"]
    headers += ["p, corrected", "verdict"] if has_p else ["verdict"]
    headers += [f"with {repetition.seeds} seeds"] if repetition else []
    return _table(headers, rows, "lrrrl" + "r" * has_p + "l" + "l" * bool(repetition))


def health_table(checks: list[Row]) -> str:
    """Lay out the health matrix: a row for learning and per rule, a column per variant."""
    styles = LEARNING_STYLES | RULE_STYLES
    names = list(dict.fromkeys(row["variant"] for row in checks))
    rules = dict.fromkeys(row["rule"] for row in checks)
    by_variant = {name: [row for row in checks if row["variant"] == name] for name in names}
    rows = [
        [
            rule.replace("_", " "),
            *(styles[mark(by_variant[name], rule)].sign for name in names),
        ]
        for rule in rules
    ]
    return _table(["rule", *names], rows, "l" + "c" * len(names))


def learning_table(checks: list[Row]) -> str:
    """Lay out whether each variant learns, with the reason, and the layer of the cause."""
    rows = [
        [row["variant"], f"**{row['verdict']}**", row["layer"] or "", describe(row)]
        for row in checks
        if row["rule"] == LEARNING
    ]
    return _table(["variant", "verdict", "layer", "reason"], rows, "llll")


def problems_table(checks: list[Row]) -> str:
    """Lay out each check that found a problem, by its kind: its location, value and threshold."""
    rows = [
        [
            row["kind"],
            row["variant"],
            row["rule"].replace("_", " "),
            row["quantity"],
            ", ".join(
                f"{key} {row[key]}" for key in ("layer", "epoch", "step") if row[key] is not None
            ),
            number(row["measured"]),
            f"{row['relation']} {number(row['threshold'])}",
        ]
        for row in by_kind([row for row in checks if row["verdict"] == PROBLEM])
    ]
    headers = ["kind", "variant", "rule", "measured quantity", "where", "value", "a problem"]
    return _table(headers, rows, "lllllrr")


def _table(headers: list[str], rows: list[list[str]], alignment: str) -> str:
    """Make a Markdown table; `alignment` has a letter per column: l, r or c."""
    words = {"l": "left", "r": "right", "c": "center"}
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(
        escaped,
        headers,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=[words[letter] for letter in alignment] if rows else None,
    )


def describe_difference(study: Study, name: str) -> str:
    """Say how a variant differs from the one that it is compared to."""
    variant = study.variants[name]
    if variant.compare_to is None:
        return "(reference)"
    if isinstance(variant, Recorded):
        return f"{variant.compare_to}: recorded in {variant.recorded}"
    changes = [f"{key} {ours}".lower() for key, (_, ours) in differences(study, name).items()]
    return f"{variant.compare_to}: " + ", ".join(changes)


def enumerate_names(names: list[str], nothing: str = "none") -> str:
    """Name the first MOST_NAMES, and count the others."""
    more = len(names) - MOST_NAMES
    rest = [f"and {more} more"] if more > 0 else []
    return ", ".join(names[:MOST_NAMES] + rest) or nothing


def missing_number(variant: AnyVariant | None) -> str:
    """Say why a variant's number is None: a recorded run has few, and others all, finite or not."""
    return "does not apply" if isinstance(variant, Recorded) else NOT_FINITE


def setting(value: Any) -> str:
    """Write a setting as params.yaml has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float | None, missing: str = NOT_FINITE) -> str:
    """Write a number to three significant digits."""
    return missing if value is None else f"{value:.3g}"


def predicted(value: float | None) -> str:
    """Write a number that depends on theory, to three significant digits."""
    return "not available" if value is None else f"{value:.3g}"


def effect(value: float | None) -> str:
    """Write a claim's effect to three significant digits, or as many as tell it from 1, up to 6."""
    if value is None:
        return "unknown"
    texts = [f"{value:.{digits}g}" for digits in range(3, 7)]
    return next((text for text in texts if text != "1"), texts[-1])


def p_value(value: float | None) -> str:
    """Write a p-value to two significant digits, in a column of them."""
    if value is None:
        return "unknown"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"  # noqa: PLR2004 - as it says


def p_equals(value: float | None) -> str:
    """Write a p-value with its relation: "p = 0.02", "p < 0.0001"."""
    written = p_value(value)
    return f"p {written}" if written.startswith("<") else f"p = {written}"


def interval(ends: list[float | None] | None) -> str:
    """Write an interval, or "none" where it or one of its ends is missing."""
    if ends is None or None in ends:
        return "none"
    return f"{effect(ends[0])} to {effect(ends[1])}"


def nats(value: float | None, missing: str = NOT_FINITE) -> str:
    """Write a loss to four decimals."""
    return missing if value is None else f"{value:.4f}"


def percent(value: float | None, missing: str = NOT_FINITE) -> str:
    """Write a share as a percentage."""
    return missing if value is None else f"{value:.1%}"


def capitalise(text: str) -> str:
    """Begin a sentence with a capital letter; a symbol such as χ stays as it is."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text
