"""A study's variant as a task, and the page that says what helps it."""

import pytest
import torch

from tests.support.study import BASELINE, tiny_params
from vanishing.datasets.examples import Examples
from vanishing.params.diagnose import Params
from vanishing.params.study import Study, Variant
from vanishing.remedies.advice import Advice, Trial
from vanishing.remedies.changes import HE
from vanishing.remedies.page import markdown
from vanishing.remedies.pilots import Pilot
from vanishing.remedies.variant import task_of

VARIANT = Variant.model_validate(BASELINE | {"activation": "relu"})


def examples(count: int, seed: int) -> Examples:
    """Return examples of ten classes, each of one pixel more than the class before."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    inputs = 0.1 * torch.randn(count, 1, 4, 4, generator=generator)
    inputs.flatten(1)[torch.arange(count), labels] += 2
    return Examples(inputs, labels)


def test_it_trains_as_params_say_and_counts_the_steps_of_all_epochs() -> None:
    content = tiny_params()
    content["train"]["optimizer"] = {"name": "adam", "learning_rate": 0.01}
    training = Study.model_validate(content).training("sigmoid")
    task = task_of(VARIANT, training, (examples(250, 0), examples(100, 1)), 10)
    assert task.steps == 2 * 3  # batches of 100, the last of 50
    pilot = Pilot(task, None, 0)
    assert pilot.optimizer.defaults["lr"] == 0.01
    pilot.advance(60)
    assert pilot.level(60) > 0.9


def test_the_page_has_the_answer_the_lines_and_no_time() -> None:
    change = Trial("He initialisation", HE.code, -0.3, 100, 0.9, 0.8, (0.75, 0.85), 0, 0.5)
    advice = Advice(
        "change",
        "The loss is 100% of that of a constant answer.",
        change=change,
        is_expected_to_heal=True,
        tried=[change, Trial("Adam", note="not tried")],
        as_is=Trial("", steps=100, score=0.1, seconds=0.5),
        trainings=0.2,
        params=tuple(HE.params.items()),
    )
    text = markdown("sigmoid", advice)
    assert text.startswith("# What helps `sigmoid`\n\nHe initialisation is expected to heal it")
    assert "kaiming_uniform_" in text
    assert "+   compare_to: sigmoid\n+   init: he_uniform" in text
    assert "+   <<: *sigmoid" in text
    assert "time" not in text
    assert "Cost: 0.20 of a training as planned." in text


def test_only_variants_that_are_trained_can_ask_for_a_remedy() -> None:
    content = tiny_params() | {"remedies": ["sigmoid"]}
    assert Params.model_validate(content).remedies == ("sigmoid",)
    with pytest.raises(ValueError, match="remedies: should be variants that are trained"):
        Params.model_validate(content | {"remedies": ["relu-he"]})
    with pytest.raises(ValueError, match="should name a variant once"):
        Params.model_validate(content | {"remedies": ["sigmoid", "sigmoid"]})
