"""The sections diagnose and expect, and all sections together."""

import re

import pytest
from pydantic import ValidationError

from tests.support.study import tiny_params
from vanishing.judging.health import RULES
from vanishing.params.diagnose import Diagnose, Params


def test_every_health_rule_has_its_thresholds() -> None:
    assert set(Diagnose.model_fields) == set(RULES)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"rleu": {"overfit": True}}, "expect.rleu: should be a variant (did you mean relu?)"),
        ({"relu": {"overfitt": True}}, "Input should be one of learning, vanishing_gradient, "),
        ({"relu": {"overfit": "yes"}}, "overfit: should be a boolean: true or false; given 'yes'"),
        ({"relu": {"learning": True}}, "learning: should be one of will not learn, learns, "),
    ],
)
def test_an_expectation_is_of_a_variant_and_a_rule(
    expect: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Params.model_validate(tiny_params() | {"expect": expect})


def test_expectations_may_be_left_out_and_no_other_section() -> None:
    content = tiny_params()
    del content["expect"]
    assert Params.model_validate(content).expect == {}
    for section in content:
        incomplete = {key: value for key, value in content.items() if key != section}
        with pytest.raises(ValidationError, match=section):
            Params.model_validate(incomplete)


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Params.model_validate(tiny_params() | {"more": 1})
