"""A comparison in three lines: whether anything changed, before anything else is said."""

from collections import Counter
from collections.abc import Iterable

from vanishing.comparing.comparison import Comparison
from vanishing.comparing.differences import NONE, ClaimChange, Difference, Reason, VerdictChange
from vanishing.comparing.words import count, metric, name, names, sentence, size, text
from vanishing.judging.verdicts import PROBLEM
from vanishing.params.answers import LEARNING

MOST = 3  # verdicts, claims or variants that are named in a line

# What the verdict in words sums up.
_SUMMED_UP = {"vanishing_attenuation", "exploding_attenuation", LEARNING}
# How numbers moved that did not change.
_NOISE: dict[Reason, str] = {
    "rounding": "by rounding",
    "growing": "as far as rounding grows in their networks",
    "seeds": "within what seeds explain",
    "initialisations": "within what initialisations explain",
}
_FIRST = "test_accuracy"  # named before the other numbers


def answer(comparison: Comparison) -> list[str]:
    """Say what changed.

    Returns:
        Three paragraphs at the most, the most important one first.
    """
    lines = []
    if comparison.mixed:
        more = len(comparison.mixed) - 1
        others = f" (and {count(more, 'more reason')})" * bool(more)
        lines.append(f"These results are not of one state: {text(comparison.mixed[0])}{others}.")
    if not comparison.new.exist:
        return [*lines, "This study is removed."]
    if not comparison.old.exist:
        return [*lines, _new_study(comparison)]
    variants, numbers = _variants(comparison), _numbers(comparison)
    judged = [*_verdicts(comparison.verdicts), *_claims(comparison.claims)]
    if judged:
        lines += [sentence(clauses) for clauses in ([*variants, *judged], numbers) if clauses]
    else:
        nothing = "no verdict and no claim changed"
        if not comparison.numbers:
            nothing = "no verdict, no claim and no number changed"
        lines.append(sentence([*variants, nothing, *numbers]))
    if comparison.conditions and len(lines) < MOST:
        lines.append(sentence([text(condition) for condition in comparison.conditions]))
    return lines


def _new_study(comparison: Comparison) -> str:
    new = comparison.new
    verdicts = _tally(str(numbers.get("verdict")) for numbers in new.metrics.values())
    claims = _tally(row["verdict"] for row in new.claims.values())
    parts = [f"a new study of {count(len(new.metrics), 'variant')}: {verdicts}"]
    parts += [f"of {count(len(new.claims), 'claim')} {claims}"] * bool(claims)
    return sentence(parts)


def _tally(words: Iterable[str]) -> str:
    return " · ".join(f"{number} {text(word)}" for word, number in Counter(words).items())


def _variants(comparison: Comparison) -> list[str]:
    variants = comparison.variants
    parts = []
    if variants.added:
        verdicts = [
            f"{name(added)} is new ({text(comparison.new.metrics[added].get('verdict'))})"
            for added in variants.added[:MOST]
        ]
        more = len(variants.added) - MOST
        parts += [", ".join(verdicts) + (f", and {more} more" if more > 0 else "")]
    if variants.removed:
        verb = "is" if len(variants.removed) == 1 else "are"
        parts.append(f"{names(variants.removed)} {verb} removed")
    renamed = list(variants.renamed.items())
    parts += [f"{name(old)} is called {name(new)} now" for new, old in renamed[:MOST]]
    if len(renamed) > MOST:
        parts.append(f"{len(renamed) - MOST} more have new names")
    return parts


def _verdicts(changes: Iterable[VerdictChange]) -> list[str]:
    """Describe verdicts that differ, those in words first, the same of several variants once."""
    groups: dict[tuple[str | None, str, str], list[str]] = {}
    in_words = {change.variant for change in changes if change.rule is None}
    for change in changes:
        if change.rule not in _SUMMED_UP or change.variant not in in_words:
            key = change.rule, change.before, change.after
            groups.setdefault(key, []).append(change.variant)
    ordered = sorted(groups.items(), key=lambda group: group[0][0] is not None)
    parts = [_verdict(*key, variants) for key, variants in ordered[:MOST]]
    more = sum(len(variants) for _, variants in ordered[MOST:])
    return parts + [f"{count(more, 'more verdict')}"] * bool(more)


def _verdict(rule: str | None, before: str, after: str, variants: list[str]) -> str:
    verb = "is" if len(variants) == 1 else "are"
    if rule is None:
        return f"{names(variants)} {verb} {text(after)} now (was {text(before)})"
    subject = f"{metric(rule)} of {names(variants)}"
    if NONE in (before, after):
        return f"{subject} is {'a new rule' if before == NONE else 'no rule any more'}"
    return f"{subject} is {_noun(after)} now (was {_noun(before)})"


def _noun(verdict: str) -> str:
    return f"a {verdict}" if verdict == PROBLEM else text(verdict)


def _claims(changes: tuple[ClaimChange, ...]) -> list[str]:
    parts = []
    for change in changes[:MOST]:
        claim = f"“{text(change.statement.rstrip('.'))}”"
        if change.before == NONE:
            parts.append(f"{claim} is a new claim ({text(change.after)})")
        elif change.after == NONE:
            parts.append(f"{claim} is no claim any more")
        else:
            parts.append(f"{claim} is {text(change.after)} now (was {text(change.before)})")
    more = len(changes) - MOST
    return parts + [f"{count(more, 'more claim')}"] * (more > 0)


def _numbers(comparison: Comparison) -> list[str]:
    parts = [_changed(comparison.changed)] if comparison.changed else []
    for reason, explanation in _NOISE.items():
        numbers = [number for number in comparison.numbers if number.reason == reason]
        if numbers:
            parts.append(_within(numbers, explanation))
    if comparison.metrics:
        parts.append(f"{count(len(comparison.metrics), 'metric')} only on one side")
    if comparison.figures:
        drawn = count(len(comparison.figures), "figure is", "figures are")
        parts.append(f"{drawn} drawn differently")
    return parts


def _changed(changed: list[Difference]) -> str:
    """Count the numbers that changed, the test accuracy and its variants first."""
    first = [number for number in changed if number.metric == _FIRST]
    others = len(changed) - len(first)
    subjects = [f"test accuracy of {names([number.variant for number in first])}"] * bool(first)
    subjects += [count(others, "other number" if first else "number")] * bool(others)
    beyond = "beyond what seeds explain"
    if all(number.seeds == 1 for number in changed):
        beyond = "beyond rounding (one seed: chance is not excluded)"
    return f"{' and '.join(subjects)} changed {beyond}"


def _within(numbers: list[Difference], explanation: str) -> str:
    largest = size(max(number.size for number in numbers))
    return f"{count(len(numbers), 'number')} moved {explanation} (largest {largest} of its value)"
