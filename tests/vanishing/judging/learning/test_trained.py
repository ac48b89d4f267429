"""Training runs of a study: the loss of the last epoch decides, and tables of a study tell why."""

import math
from collections.abc import Callable, Sequence

import pytest

from tests.vanishing.judging.made_up_study import frame
from vanishing.judging.effects import Tables
from vanishing.judging.learning.rows import of_run, to_row, worst
from vanishing.judging.learning.trained import run_of
from vanishing.judging.learning.verdict import Verdict, judge_learning
from vanishing.params.optimizers import Adam, Optimizer, Sgd

CLASSES = 10
LAYERS = {"first": 0, "second": 1, "output": 2}
STEPS = 100  # of an epoch
CONSTANT = math.log(CLASSES)
PLAIN = Sgd(name="sgd", learning_rate=0.01, momentum=0.9)


def tables(
    losses: Sequence[float], gradient: float = 1e-2, decay: float = 1.0, ratio: float = 1e-2
) -> Tables:
    """Return the tables of one training run.

    Args:
        losses: As shares of a constant answer's, an epoch each.
        gradient: rms(dL/dW) of every layer.
        decay: rms(dL/dz) of a layer over that of the next one, at initialisation.
        ratio: ‖update‖ / ‖weights‖ of every layer.
    """
    steps = range(1, STEPS * len(losses) + 1)
    of_parameters = {("update", "ratio"): ratio, ("weight_gradient", "rms"): gradient}
    trace = [
        ("v", 0, step, index, layer, *key, value)
        for step in steps[::50]
        for layer, index in LAYERS.items()
        for key, value in of_parameters.items()
    ]
    snapshots = [
        ("v", 0, 0, 0, index, layer, "backpropagated_gradient", "rms", decay ** (2 - index))
        for layer, index in LAYERS.items()
    ]
    epochs = [(step - 1) // STEPS for step in steps]
    rows = [
        ("v", 0, epoch + 1, step, CONSTANT * losses[epoch])
        for step, epoch in zip(steps, epochs, strict=True)
    ]
    return {
        "trace": frame("trace", trace),
        "losses": frame("losses", rows),
        "layers": frame("layers", snapshots),
        "units": frame("units", []),
    }


def judge(content: Tables, optimizer: Optimizer = PLAIN) -> Verdict:
    """Return the verdict on a training run with these tables."""
    return judge_learning(run_of("v", content, CLASSES, optimizer))


@pytest.mark.parametrize(
    ("losses", "answer"),
    [
        ([1, 0.3], "learns"),
        ([1, 0.7], "too early to say"),
        ([1, 1], "will not learn"),
        ([1, 9], "will not learn"),
        ([1, math.nan], "will not learn"),
        # Of the last fifth of ten epochs half is flat: a late starter is not given up.
        ([1] * 9 + [0.5], "learns"),
    ],
)
def test_the_loss_of_the_last_epoch_decides(losses: list[float], answer: str) -> None:
    verdict = judge(tables(losses))
    assert verdict.answer == answer
    assert math.isnan(verdict.loss_share) or verdict.loss_share == pytest.approx(losses[-1])


def test_a_gradient_that_vanished_at_the_first_snapshot_is_the_cause_and_has_its_layer() -> None:
    verdict = judge(tables([1, 1], decay=1e-2))
    assert verdict.cause is not None
    assert (verdict.cause.name, verdict.layer) == ("vanishing", "first")
    assert verdict.cause.measured == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("content", "optimizer", "cause"),
    [
        (lambda: tables([1, 1], ratio=0.9), PLAIN, "learning-rate"),
        (lambda: tables([1, 1], ratio=1e-6), PLAIN, "learning-rate"),
        (
            lambda: tables([1, 1], gradient=1e-4),
            Adam(name="adam", learning_rate=1e-3, epsilon=0.1),
            "epsilon",
        ),
        (lambda: tables([1, 1]), PLAIN.model_copy(update={"momentum": 0.999}), "momentum"),
    ],
)
def test_other_causes_are_found_in_updates_and_in_the_settings_of_params(
    content: Callable[[], Tables], optimizer: Optimizer, cause: str
) -> None:
    verdict = judge(content(), optimizer)
    assert verdict.cause is not None
    assert verdict.cause.name == cause


def test_where_no_recorded_cause_holds_none_is_named() -> None:
    """Inputs and outputs are not recorded, so the data are not the only thing that is left."""
    verdict = judge(tables([1, 1]))
    assert (verdict.answer, verdict.cause, verdict.layer) == ("will not learn", None, None)
    row = to_row("v", verdict, 0)
    assert row["cause"] is None
    assert row["reason"].endswith("The loss is 100% of that of a constant answer.")


def test_a_row_has_what_decides_and_the_cause() -> None:
    row = to_row("v", judge(tables([1, 1], decay=1e-2)), 3)
    assert (row["rule"], row["verdict"]) == ("learning", "will not learn")
    assert (row["layer"], row["seed"], row["step"]) == ("first", 3, 200)
    assert row["measured"] == pytest.approx(1.0)
    assert (row["relation"], row["threshold"]) == ("above", 0.8)
    assert row["cause"]["name"] == "vanishing"
    assert (row["cause"]["relation"], row["cause"]["threshold"]) == ("below", 1e-3)
    assert "The loss is 100% of that of a constant answer." in row["reason"]
    assert set(row) - set(of_run(row)) == {"variant", "rule", "kind", "seed", "epoch"}


def test_the_worst_seed_decides_and_the_reason_says_how_many_are_like_it() -> None:
    losses = {0: 0.3, 1: 1.0, 2: 0.7, 3: 1.1}
    rows = {seed: to_row("v", judge(tables([1, loss])), seed) for seed, loss in losses.items()}
    decisive = worst(rows)
    assert (decisive["seed"], decisive["verdict"]) == (1, "will not learn")
    assert decisive["reason"].startswith("2 of 4 seeds: will not learn (after 200 steps).")
    assert worst({0: rows[0], 2: rows[2]})["verdict"] == "too early to say"
    assert worst({0: rows[0]}) == rows[0]
    recorded = to_row("v", judge(tables([1, 1])))
    assert worst({0: recorded, 1: recorded}) == recorded
