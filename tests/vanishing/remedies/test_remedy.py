"""Tests of `find_remedy`: plain faults, healthy trainings, and changes that are tried."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

import vanishing
from vanishing.errors import StudyError
from vanishing.remedies.advice import Advice, Trial
from vanishing.remedies.changes import ADAM, HE, SINGLES, with_

FEATURES, CLASSES = 20, 3


def _data(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1000, FEATURES, generator=generator)
    return scale * inputs, inputs[:, :CLASSES].argmax(1)


def _deep(activation: type[nn.Module] = nn.Sigmoid, depth: int = 10) -> nn.Module:
    sizes = [FEATURES] + [32] * depth
    layers = [
        module
        for before, after in pairwise(sizes)
        for module in (nn.Linear(before, after), activation())
    ]
    return nn.Sequential(*layers, nn.Linear(32, CLASSES))


def _healthy() -> nn.Module:
    return _deep(nn.ReLU, 2)


def _sgd(rate: float) -> Callable[[Any], Optimizer]:
    return lambda parameters: SGD(parameters, lr=rate)


@pytest.fixture(scope="module", name="advice")
def advice_fixture() -> vanishing.Advice:
    """Ten layers of sigmoids."""
    return vanishing.find_remedy(_deep, _data())


def test_a_deep_network_of_sigmoids_gets_a_change_that_heals_it(advice: vanishing.Advice) -> None:
    assert advice.outcome == "change"
    assert advice.change is not None
    assert advice.change.interval is not None
    assert 0.3 <= advice.change.interval[0] <= advice.change.gain <= advice.change.interval[1]
    assert advice.is_expected_to_heal
    assert advice.as_is is not None
    assert advice.as_is.decades < -8  # sigmoids: 0.25 · σw per layer
    assert advice.trainings <= 1
    structural = {change.name for change in SINGLES if change.is_structural}
    tried = {trial.name: trial for trial in advice.tried}
    assert structural <= tried.keys()
    assert abs(tried["batch normalization"].decades) < abs(advice.as_is.decades)


def test_the_text_says_the_change_its_code_its_gain_and_its_cost(advice: vanishing.Advice) -> None:
    text = str(advice)
    assert advice.change is not None
    assert text.startswith(f"{advice.change.name} is expected to heal it: after 100 steps")
    assert advice.change.code.splitlines()[0] in text
    assert "as it is" in text
    assert text.endswith(f"Cost: {advice.trainings:.2f} of a training as planned.")


def test_the_same_advice_comes_again_and_random_states_stay(advice: vanishing.Advice) -> None:
    torch.manual_seed(3)
    again = vanishing.find_remedy(_deep, _data())
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert again.as_dict() == advice.as_dict()


def test_a_training_that_learns_is_left_alone() -> None:
    advice = vanishing.find_remedy(_healthy, _data())
    assert advice.outcome == "learns"
    assert advice.change is None
    assert not advice.tried
    assert str(advice).startswith("It learns as it is: leave it alone.")


def test_a_rate_that_is_far_too_small_gets_no_other_network() -> None:
    advice = vanishing.find_remedy(_healthy, _data(), optimizer=_sgd(1e-6))
    assert advice.change is not None
    assert advice.change.name in {"Adam", "learning rate × 100"}
    assert advice.change.parameters == 0


def test_two_faults_at_once_get_a_pair_beside_the_best_single_change() -> None:
    advice = vanishing.find_remedy(_deep, _data(), optimizer=_sgd(1e-3))
    assert advice.change is not None
    assert advice.change.name == "batch normalization + Adam"
    assert advice.is_expected_to_heal
    assert advice.trainings <= 1
    trained = {trial.name for trial in advice.tried if trial.steps == advice.change.steps}
    assert trained & {change.name for change in SINGLES}


def test_the_network_that_is_given_stays_as_it_is() -> None:
    torch.manual_seed(0)
    model = _deep()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vanishing.find_remedy(lambda: model, _data(), steps=200)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert not any(module._forward_hooks for module in model.modules())


def test_nan_in_the_data_is_a_plain_fault() -> None:
    inputs, targets = _data()
    inputs[7, 3] = torch.nan
    advice = vanishing.find_remedy(_deep, (inputs, targets))
    assert advice.outcome == "fault"
    assert advice.fault is not None
    assert advice.fault.name == "non-finite"
    assert "1 of 800" in str(advice)
    assert advice.trainings == 0


class _Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 32)
        self.head = nn.Linear(32, CLASSES)
        nn.init.constant_(self.first.weight, 0.01)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.first(inputs).detach())
        return logits


def test_a_detached_layer_is_named_with_its_line_and_gets_no_change() -> None:
    advice = vanishing.find_remedy(_Detached, _data())
    assert advice.fault is not None
    assert advice.fault.name == "detached"
    assert advice.fault.layer == "first"
    assert advice.fault.place is not None
    line = Path(__file__).read_text("utf-8").splitlines()[advice.fault.place.line - 1]
    assert "self.first = " in line
    assert advice.change is None


def test_a_loss_on_probabilities_is_a_plain_fault() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs.softmax(1), targets)

    advice = vanishing.find_remedy(_deep, _data(), loss)
    assert advice.fault is not None
    assert advice.fault.name == "loss"
    assert advice.fault.place is not None
    assert advice.fault.place.file == __file__


def test_unscaled_inputs_are_a_plain_fault() -> None:
    advice = vanishing.find_remedy(_deep, _data(255.0))
    assert advice.fault is not None
    assert advice.fault.name == "inputs"


def _loop(resets: bool) -> Callable[[nn.Module, Optimizer], Iterator[Tensor]]:
    inputs, targets = _data()

    def loop(model: nn.Module, optimizer: Optimizer) -> Iterator[Tensor]:
        while True:
            for rows in torch.arange(len(inputs)).chunk(20):
                if resets:
                    optimizer.zero_grad()
                loss = cross_entropy(model(inputs[rows]), targets[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                yield loss

    return loop


def test_gradients_that_the_loop_never_resets_are_a_plain_fault() -> None:
    advice = vanishing.find_remedy(_healthy, _data(), optimizer=_sgd(5.0), loop=_loop(False))
    assert advice.fault is not None
    assert advice.fault.name == "accumulation"
    assert advice.fault.place is not None
    assert advice.fault.place.file == __file__


def test_a_loop_of_ones_own_is_trained_with_changes() -> None:
    advice = vanishing.find_remedy(_deep, _data(), loop=_loop(True))
    assert advice.outcome == "change"


class _Particular(nn.Module):
    """Raises when it finds a normalization among its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _deep()

    def forward(self, inputs: Tensor) -> Tensor:
        if any(isinstance(module, nn.BatchNorm1d) for module in self.modules()):
            raise ValueError("no normalization, please")
        outputs: Tensor = self.body(inputs)
        return outputs


def test_a_change_with_which_the_network_fails_is_noted_and_others_are_tried() -> None:
    advice = vanishing.find_remedy(_Particular, _data())
    notes = {trial.name: trial.note for trial in advice.tried}
    assert "no normalization, please" in notes["batch normalization"]
    assert advice.outcome == "change"


def test_where_no_change_helps_none_is_recommended() -> None:
    inputs, targets = _data()
    shuffled = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))]
    advice = vanishing.find_remedy(_deep, (inputs, shuffled))
    assert advice.outcome == "none"
    assert advice.sentence.startswith("None of these changes helped.")
    assert advice.trainings <= 1


def test_a_gain_that_does_not_suffice_is_said() -> None:
    pair = Trial("batch normalization + Adam", steps=100, gain=0.26, interval=(0.16, 0.37))
    assert Advice("none", "The loss is flat.", tried=[pair]).sentence == (
        "None of these changes gains enough. The most is +0.26 after 100 steps, with batch"
        " normalization + Adam. The loss is flat."
    )


def test_a_regression_is_scored_by_the_fall_of_its_loss() -> None:
    inputs, _ = _data()
    targets = inputs[:, :1]

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, 1))

    advice = vanishing.find_remedy(
        make, (inputs, targets), nn.functional.mse_loss, optimizer=_sgd(1e-6)
    )
    assert advice.change is not None
    assert advice.change.score > 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": 3}, "should return \\(inputs, targets\\)"),
        ({"steps": 0}, "steps: should be at least 1; given 0"),
        ({"make_model": lambda: 3}, "should return an nn.Module; returned 3"),
        ({"data": (torch.ones(1, 2), torch.ones(1))}, "needs two examples or more"),
        ({"optimizer": lambda _p: 3}, "optimizer: should return a torch.optim.Optimizer"),
        ({"loss": lambda _o, _t: 3.0}, "loss: should return one number"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    arguments: dict[str, Any], message: str
) -> None:
    given = {"make_model": _deep, "data": _data(), **arguments}
    with pytest.raises(StudyError, match=message) as error:
        vanishing.find_remedy(**given)
    assert "\n" not in str(error.value)


def test_a_network_that_raises_is_an_error_of_one_line() -> None:
    with pytest.raises(StudyError, match="mat1 and mat2") as error:
        vanishing.find_remedy(lambda: nn.Linear(3, 3), _data())
    assert "\n" not in str(error.value)


def test_a_pair_makes_both_changes_and_counts_as_more_than_each() -> None:
    pair = with_(HE, ADAM)
    assert pair.name == with_(ADAM, HE).name == "Adam + He initialisation"
    assert pair.params == {**HE.params, **ADAM.params}
    assert pair.size > max(change.size for change in SINGLES)


def test_adam_is_no_change_of_adam() -> None:
    advice = vanishing.find_remedy(_deep, _data(), optimizer=Adam, steps=200)
    notes = {trial.name: trial.note for trial in advice.tried}
    assert notes["Adam"] == "the optimizer is Adam with a learning rate of 0.001 already"
