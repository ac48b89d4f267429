"""The kinds of health rules: each rule has one, and the gravest comes first."""

from vanishing.judging.kinds import KINDS, KINDS_BY_GRAVITY, in_order
from vanishing.params.diagnose import Diagnose


def test_every_rule_has_a_kind() -> None:
    assert set(KINDS) == set(Diagnose.model_fields)
    assert set(KINDS.values()) == set(KINDS_BY_GRAVITY)


def test_rules_are_ordered_by_kind() -> None:
    kinds = [KINDS[rule] for rule in in_order(Diagnose.model_fields)]
    assert kinds == sorted(kinds, key=KINDS_BY_GRAVITY.index)
    assert in_order(["overfit", "dead_relu", "at_chance"]) == ["at_chance", "dead_relu", "overfit"]
