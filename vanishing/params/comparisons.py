"""Comparisons of variants: each should differ from its reference in one thing."""

import sys
from collections.abc import Mapping
from typing import Any

from vanishing.params.study import AnyVariant, Overrides, Recorded, Study, Training, Variant
from vanishing.paths import PARAMS

Settings = dict[str, Any]


def warn_of_impure(study: Study) -> None:
    """Print a warning for each variant that `impure` finds."""
    for sentence in impure(study):
        print(f"warning: {PARAMS}: variants.{sentence}", file=sys.stderr)


def impure(study: Study) -> list[str]:
    """Find the variants that differ from the variant that they are compared to in several things.

    What such a comparison shows has several possible causes. `std` belongs to `init`: both
    together are one thing.

    Args:
        study: With the variants.

    Returns:
        A sentence for each, as "relu: differs from sigmoid in 2 things: activation (sigmoid, here
        relu), depth (4, here 5)".
    """
    sentences = []
    for name, variant in study.variants.items():
        changed = differences(study, name)
        things = changed.keys() - ({"std"} if "init" in changed else set())
        if len(things) > 1:
            changes = [
                f"{setting} ({theirs}, here {ours})" for setting, (theirs, ours) in changed.items()
            ]
            sentences.append(
                f"{name}: differs from {variant.compare_to} in {len(things)} things:"
                f" {', '.join(changes)}"
            )
    return sentences


def differences(study: Study, name: str) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which a variant differs from the variant that it is compared to.

    Settings are those of the network, and those of its training, be they those of `train` or its
    own. A recorded run differs in one thing, since its settings are not the study's; so do networks
    of two kinds, and optimizers of two names.

    Args:
        study: With the variants.
        name: Of the variant.

    Returns:
        {setting: (value of the reference, value of the variant)}; None for one that it lacks. Empty
        for a variant without a reference.
    """
    variant = study.variants[name]
    if variant.compare_to is None:
        return {}
    reference = study.variants[variant.compare_to]
    if isinstance(variant, Recorded) or isinstance(reference, Recorded):
        folders = (getattr(reference, "recorded", None), getattr(variant, "recorded", None))
        return _unequal({"recorded": folders[0]}, {"recorded": folders[1]})
    before, after = (_network(reference), _network(variant))
    if before.get("network") != after.get("network"):  # two kinds, or two functions: one thing
        before, after = ({"network": network.get("network")} for network in (before, after))
    theirs, ours = (study.training(of) for of in (variant.compare_to, name))
    before |= _training(theirs)
    after |= _training(ours)
    if theirs.optimizer.name != ours.optimizer.name:
        before["optimizer"], after["optimizer"] = str(theirs.optimizer), str(ours.optimizer)
    return _unequal(_flat(before), _flat(after))


def shared_conditions(study: Study) -> list[str]:
    """Return the conditions that all variants have in common that the study trains, in words."""
    widths = {v.width if isinstance(v, Variant) else None for v in study.trained.values()}
    rates = {study.training(name).optimizer.learning_rate for name in study.trained}
    return [
        "one data set",
        *(["one width"] if len(widths) == 1 and None not in widths else []),
        *(["one learning rate"] if len(rates) == 1 else []),
    ]


def _network(variant: AnyVariant) -> Settings:
    """Return the settings of a network alone."""
    return variant.model_dump(exclude=set(Overrides.model_fields))


def _training(training: Training) -> Settings:
    """Return the settings of a training; `snapshots` follow from `epochs`."""
    return training.model_dump(exclude={"snapshots"})


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Settings:
    """Join the keys of nested mappings by dots."""
    items: Settings = {}
    for key, value in nested.items():
        named = f"{prefix}{key}"
        items |= _flat(value, f"{named}.") if isinstance(value, dict) else {named: value}
    return items


def _unequal(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    return {
        key: (before.get(key), after.get(key))
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    }
