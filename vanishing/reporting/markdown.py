"""The report's tables and numbers, in GitHub's Markdown."""

from typing import Any

from tabulate import tabulate

from vanishing.judging import verdicts
from vanishing.params.study import Variant
from vanishing.reporting import selection

Metrics = dict[str, dict[str, Any]]
Rows = list[dict[str, Any]]

LISTED = 12  # names in a sentence
SIGNS = {"problem": "×", "fine": "·", "undefined": "?", "not applicable": "-"}


def verdicts_table(metrics: Metrics, shown: list[str]) -> str:
    """Lay the verdicts out: how many variants have each, and where these lie."""
    rows = []
    for verdict, names in selection.by_verdict(metrics).items():
        rows.append([verdict, str(len(names)), str(len(set(names) & set(shown)))])
        for key, write in (("attenuation_init", number), ("test_accuracy", percent)):
            known = [metrics[name][key] for name in names if metrics[name][key] is not None]
            rows[-1] += [write(choose(known, default=None)) for choose in (min, max)]
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


def variants_table(variants: dict[str, Variant], metrics: Metrics) -> str:
    """Lay variants out, a row for each that has metrics."""
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
    return _table(headers, rows, "llrrrrrl")


def theory_table(metrics: Metrics) -> str:
    """Lay theory and measurement at initialisation out, a row per variant."""
    rows = [
        [
            name,
            available(values["hop_theory"]),
            available(values["hop_fresh"]),
            available(values["hop_deviation"]),
            available(values["attenuation_theory"]),
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


def claims_table(claims: Rows) -> str:
    """Lay the claims out: the statement, its effect and the verdict."""
    rows = [
        [
            f"[{row['claim'].rstrip('.')}](#{row['id']})",
            effect(row["effect"]),
            interval(row["interval"]),
            str(row["n"]),
            row["over"],
            f"**{row['verdict']}**" if row["verdict"] == "refuted" else row["verdict"],
        ]
        for row in claims
    ]
    headers = ["the article says", "effect", "95 % interval", "n", "over", "verdict"]
    return _table(headers, rows, "lrrrll")


def health_table(checks: Rows) -> str:
    """Lay the health matrix out: a row per rule, a column per variant."""
    names = list(dict.fromkeys(row["variant"] for row in checks))
    rules = dict.fromkeys(row["rule"] for row in checks)
    own = {name: [row for row in checks if row["variant"] == name] for name in names}
    rows = [
        [rule.replace("_", " "), *(SIGNS[verdicts.verdict(own[name], rule)] for name in names)]
        for rule in rules
    ]
    return _table(["rule", *names], rows, "l" + "c" * len(names))


def problems_table(checks: Rows) -> str:
    """Lay out each check that found a problem: where, how much, and the threshold."""
    rows = [
        [
            row["variant"],
            row["rule"].replace("_", " "),
            row["quantity"],
            ", ".join(
                f"{key} {row[key]}" for key in ("layer", "epoch", "step") if row[key] is not None
            ),
            number(row["measured"]),
            f"{row['relation']} {number(row['threshold'])}",
        ]
        for row in checks
        if row["verdict"] == verdicts.PROBLEM
    ]
    headers = ["variant", "rule", "measured quantity", "where", "value", "a problem"]
    return _table(headers, rows, "llllrr")


def _table(headers: list[str], rows: list[list[str]], alignment: str) -> str:
    """Make a Markdown table; `alignment` has a letter per column: l, r or c."""
    words = {"l": "left", "r": "right", "c": "center"}
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(
        escaped,
        headers,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=[words[each] for each in alignment] if rows else None,
    )


def difference(variants: dict[str, Variant], name: str) -> str:
    """Say what sets a variant apart from the one that it is compared to."""
    reference = variants[name].compare_to
    if reference is None:
        return "(reference)"
    changes = variants[name].differences(variants[reference])
    return f"{reference}: " + ", ".join(f"{key} {new}".lower() for key, (_, new) in changes.items())


def listed(names: list[str], nothing: str = "none") -> str:
    """Name a few in a sentence, and count the others."""
    more = len(names) - LISTED
    rest = [f"and {more} more"] if more > 0 else []
    return ", ".join(names[:LISTED] + rest) or nothing


def number(value: float | None) -> str:
    """Write a number to three significant digits."""
    return "not finite" if value is None else f"{value:.3g}"


def effect(value: float | None) -> str:
    """Write a claim's effect to three significant digits, or to as many as tell it from 1."""
    if value is None:
        return "unknown"
    texts = [f"{value:.{digits}g}" for digits in range(3, 7)]
    return next((text for text in texts if text != "1"), texts[-1])


def sentence(text: str) -> str:
    """Begin a text with a capital letter; a symbol stays as it is."""
    return text[0].upper() + text[1:] if text[:1].isascii() else text


def available(value: float | None) -> str:
    """Write a number that theory has a part in, to three significant digits."""
    return "not available" if value is None else f"{value:.3g}"


def interval(ends: list[float | None] | None) -> str:
    """Write an interval, or say that there is none."""
    if ends is None or None in ends:
        return "none"
    return f"{effect(ends[0])} to {effect(ends[1])}"


def nats(value: float | None) -> str:
    """Write a loss to four decimals."""
    return "not finite" if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
    return "not finite" if value is None else f"{value:.1%}"
