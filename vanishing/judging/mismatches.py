"""Whether the variants of params.yaml are those that a claim is about."""

from collections.abc import Mapping
from typing import Any

from vanishing.judging.formulas import Formula
from vanishing.params.study import Built, Overrides, Recorded, Study, TrainedVariant

Settings = Mapping[str, Any]  # {setting: value}; those of `arguments` and `optimizer` with a dot


def mismatch(effect: Formula, expected: Mapping[str, Settings], study: Study) -> str | None:
    """Say in which way params.yaml lacks the variants that an effect compares.

    A setting that a ledger expects of no variant is free, but the same in all that are compared.
    Training settings of its own (`optimizer`, `epochs` and the like) a variant has only if the
    ledger expects them: a comparison would be one of these as well.

    Args:
        effect: Of the claim.
        expected: {variant: the settings that its name promises}, as in params.yaml, and of the
            training as they are in the end: `{"network": "nets:build", "arguments.cell": "lstm",
            "optimizer.name": "adam"}`.
        study: With the variants.

    Returns:
        The first reason: a variant is missing, is a recorded run, has another setting than its
        name promises, or differs in a free one from a variant that it is compared with. Where an
        effect is over all variants, that one has training settings of its own that are not
        expected. None where there is none.
    """
    for name in effect.variants:
        reason = _other_variant(name, expected[name], study)
        if reason:
            return reason
    names = study.trained if effect.is_over_all else effect.variants
    for name in names:
        strange = study.trained[name].training.keys() - _sections(expected.get(name, {}))
        if strange:
            return f"params.yaml gives {name} its own {', '.join(sorted(strange))}"
    return _unequal(effect.variants, expected, study)


def _other_variant(name: str, expected: Settings, study: Study) -> str | None:
    """Say how a variant is not the one that its name promises."""
    variant = study.variants.get(name)
    if variant is None:
        return f"params.yaml has no variant {name}"
    if isinstance(variant, Recorded):
        return f"params.yaml has {name} as a recorded run"
    if isinstance(variant, Built) and "network" not in expected:
        return f"params.yaml has {name} as a network that a function returns"
    settings = _flat(study.training(name).model_dump()) | _network(variant)
    for key, value in expected.items():
        if settings.get(key) != value:
            return f"params.yaml has {name} with another {key} than its name says"
    return None


def _unequal(names: tuple[str, ...], expected: Mapping[str, Settings], study: Study) -> str | None:
    """Say which setting of a network is expected of none of the variants, and not the same."""
    fixed = {key for name in names for key in expected[name]}
    networks = [_network(study.trained[name]) for name in names]
    for key in dict.fromkeys(key for network in networks for key in network):
        values = [network.get(key) for network in networks]
        if key not in fixed and any(value != values[0] for value in values):
            return f"params.yaml gives {' and '.join(names)} different values of {key}"
    return None


def _sections(settings: Settings) -> set[str]:
    """Return the keys of params.yaml in which settings are: `optimizer` of `optimizer.name`."""
    return {key.partition(".")[0] for key in settings}


def _network(variant: TrainedVariant) -> dict[str, Any]:
    """Return the settings of a network alone."""
    return _flat(variant.model_dump(exclude=set(Overrides.model_fields)))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings by dots."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        items |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return items
