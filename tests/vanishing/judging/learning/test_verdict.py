"""Whether a watched training will learn: at the end, while it goes on, and live."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

import vanishing
from tests.vanishing.judging.learning.trainings import Loop, digits, mlp, sgd, with_normalization
from vanishing import Verdict, WillNotLearnError, judge_learning
from vanishing.errors import StudyError
from vanishing.recorder import next_look


def vanished() -> Loop:
    """Return a training whose gradient vanishes: twelve layers of sigmoids."""
    return Loop(mlp(12, nn.Sigmoid), sgd())


def scaled(model: nn.Sequential, factor: float) -> nn.Sequential:
    """Multiply the parameters of a network, and return it."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def test_a_healthy_training_learns(tmp_path: Path) -> None:
    folder = Loop().train(tmp_path / "run", steps=120)
    at_end, early = judge_learning(folder), judge_learning(folder, 50)
    assert (at_end.answer, at_end.cause) == ("learns", None)
    assert early.answer == "learns"
    assert early.step == 50


def test_a_vanished_gradient_will_not_learn_and_the_first_layer_is_named(tmp_path: Path) -> None:
    verdict = judge_learning(vanished().train(tmp_path / "run"), 50)
    assert verdict.answer == "will not learn"
    assert verdict.cause is not None
    assert verdict.cause.name == "vanishing"
    assert verdict.layer == "hidden1"
    assert "does not grow" in verdict.reason
    assert "in hidden1: " in str(verdict)
    assert "below 0.001" in str(verdict)


def test_a_matrix_of_the_network_itself_is_not_taken_for_its_head(tmp_path: Path) -> None:
    """A learned position has more rows than there are classes; ln of them is a larger loss."""
    model = vanished().model
    model.register_parameter("positions", nn.Parameter(torch.zeros(28, 4)))
    verdict = judge_learning(Loop(model, sgd()).train(tmp_path / "run"), 50)
    assert verdict.answer == "will not learn"
    assert verdict.loss_share == pytest.approx(1, abs=0.05)


def test_a_late_starter_is_not_given_up(tmp_path: Path) -> None:
    """Eight layers of tanh with small weights: the loss is flat, and the outputs come alive."""
    folder = Loop(scaled(mlp(8, nn.Tanh), 0.5)).train(tmp_path / "run", steps=400)
    early, later = judge_learning(folder, 50), judge_learning(folder)
    assert early.answer == "too early to say"
    assert "more and more" in early.reason
    assert later.answer != "will not learn"


def test_outputs_that_come_alive_while_the_loss_rises_are_no_late_start(tmp_path: Path) -> None:
    """Gradients that are never reset: outputs differ more and more, and are wrong."""
    loop = Loop(with_normalization(), sgd(0.02, momentum=0.9), resets=False)
    verdict = judge_learning(loop.train(tmp_path / "run"), 50)
    assert verdict.answer == "will not learn"
    assert verdict.reason.endswith(" and does not fall.")
    assert verdict.cause is not None
    assert verdict.cause.name == "accumulation"


@pytest.mark.parametrize(
    ("loop", "answer"),
    [
        (
            Loop(scaled(mlp(), 5), sgd(0.05, momentum=0.9)),
            "will not learn",
        ),  # to a constant answer's
        (Loop(scaled(mlp(), 20)), "too early to say"),  # and is still above it
    ],
    ids=["fallen", "falling"],
)
def test_a_loss_that_falls_from_a_large_start_has_to_fall_below_a_constant_answer(
    loop: Loop, answer: str, tmp_path: Path
) -> None:
    folder = loop.train(tmp_path / "run")
    losses = vanishing.read_run(folder, "losses")["loss"]
    assert losses.iloc[40:50].mean() < 0.7 * losses.iloc[:3].mean()
    assert judge_learning(folder, 50).answer == answer


UNDONE = {
    "momentum": Loop(optimizer=sgd(0.01, momentum=0.999)),
    "accumulation": Loop(optimizer=sgd(0.001, momentum=0.5), resets=False),
    "weight-decay": Loop(optimizer=lambda p: Adam(p, lr=1e-3, weight_decay=1.0)),
}


@pytest.mark.parametrize("cause", UNDONE)
def test_what_is_learned_against_a_setting_will_be_undone(cause: str, tmp_path: Path) -> None:
    """However far the loss has fallen by now."""
    verdict = judge_learning(UNDONE[cause].train(tmp_path / "run"), 50)
    assert verdict.answer == "will not learn"
    assert verdict.cause is not None
    assert verdict.cause.name == cause
    assert str(verdict).count(verdict.cause.sentence) == 1


def test_before_fifty_steps_it_is_too_early(tmp_path: Path) -> None:
    folder = vanished().train(tmp_path / "run")
    assert judge_learning(folder, 10).answer == "too early to say"


def test_without_losses_nothing_is_said_but_how_to_record_them(tmp_path: Path) -> None:
    model = mlp()
    optimizer = sgd()(model.parameters())
    x, y = digits()
    with vanishing.watch(model, optimizer, folder=tmp_path / "run"):
        for _ in range(2):
            nn.functional.cross_entropy(model(x[:8]), y[:8]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
    verdict = judge_learning(tmp_path / "run")
    assert verdict.answer == "too early to say"
    assert "watch.loss" in verdict.reason


def test_a_flat_loss_alone_is_no_reason_to_give_up(tmp_path: Path) -> None:
    verdict = judge_learning(vanished().train(tmp_path / "run", modules=False), 50)
    assert verdict.answer == "too early to say"
    assert "not recorded" in verdict.reason


@pytest.mark.parametrize(("rate", "answer"), [(1e-9, "will not learn"), (0.1, "learns")])
def test_a_loss_of_another_kind_is_judged_by_its_fall(
    rate: float, answer: str, tmp_path: Path
) -> None:
    def squares(z: Tensor, labels: Tensor) -> Tensor:
        return (z - 3 * nn.functional.one_hot(labels, 10)).square().mean()

    folder = Loop(loss=squares, optimizer=sgd(rate)).train(tmp_path / "run", steps=80)
    assert judge_learning(folder).answer == answer


def test_of_a_loss_that_is_negative_nothing_is_said(tmp_path: Path) -> None:
    """The mean logit of the right class, negated, has no constant answer and no end."""

    def negated(z: Tensor, labels: Tensor) -> Tensor:
        return -z[torch.arange(len(z)), labels].mean()

    folder = Loop(loss=negated, optimizer=sgd(0.001, momentum=0.999)).train(tmp_path / "run")
    verdict = judge_learning(folder)
    assert (verdict.answer, verdict.cause) == ("too early to say", None)
    assert "negative" in verdict.reason


def test_a_step_that_there_cannot_be_is_refused(tmp_path: Path) -> None:
    folder = Loop().train(tmp_path / "run", steps=2)
    with pytest.raises(StudyError, match="step: should be at least 1; given 0"):
        judge_learning(folder, 0)


def test_a_training_of_few_steps_has_shown_nothing(tmp_path: Path) -> None:
    verdict = judge_learning(vanished().train(tmp_path / "run", steps=20))
    assert verdict.answer == "too early to say"
    assert "50 at least" in verdict.reason


def test_a_diverged_training_will_not_learn(tmp_path: Path) -> None:
    verdict = judge_learning(Loop(optimizer=sgd(1e6)).train(tmp_path / "run", steps=12))
    assert verdict.answer == "will not learn"
    assert "finite" in verdict.reason


@pytest.mark.parametrize("loop", [Loop(), vanished()], ids=["healthy", "vanished"])
def test_live_verdicts_are_those_of_a_later_reader(loop: Loop, tmp_path: Path) -> None:
    live: list[Verdict] = []
    folder = loop.train(tmp_path / "run", steps=120, alarm=live.append, every=20)
    assert [verdict.step for verdict in live] == [10, 60, 100]  # the first traced ones of a look
    assert live == [judge_learning(folder, verdict.step) for verdict in live]


def test_an_alarm_warns_and_training_goes_on(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"will not learn \(after 50 steps\)"):
        folder = vanished().train(tmp_path / "run", alarm="warn")
    assert len(vanishing.read_run(folder, "losses")) == 60


def test_an_alarm_stops_the_training_and_the_record_is_whole(tmp_path: Path) -> None:
    with pytest.raises(WillNotLearnError, match="gradient vanishes"):
        vanished().train(tmp_path / "run", alarm="stop")
    assert len(vanishing.read_run(tmp_path / "run", "losses")) == 50
    assert judge_learning(tmp_path / "run").answer == "will not learn"


def test_a_healthy_training_rings_no_alarm(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Loop().train(tmp_path / "run", alarm="stop")


def test_an_alarm_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="alarm: should be warn, stop or a function; given 'off'"):
        Loop().train(tmp_path / "run", alarm="off")
    assert not (tmp_path / "run").exists()


def test_looks_become_rarer() -> None:
    looks = [0]
    for _ in range(12):
        looks.append(next_look(looks[-1]))
    assert looks[1:] == [
        10,
        50,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        20_000,
        50_000,
        100_000,
    ]
    assert next_look(60) == 100
