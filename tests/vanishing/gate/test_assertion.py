"""What `assert_trains` lets pass and what it fails, on networks of a moment."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import LBFGS, SGD, Adam, Optimizer

from vanishing import StudyError, assert_trains
from vanishing.gate.failures import DoesNotTrainError, Failure

FEATURES, CLASSES, WIDTH = 12, 3, 16


def line_with(marker: str) -> int:
    """Return the line of this file that ends with a marker."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {marker}"))


def make_batch(count: int = 32) -> tuple[Tensor, Tensor]:
    """Make examples with labels that a network can tell from them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % CLASSES
    inputs = torch.randn(count, FEATURES, generator=generator)
    return inputs + 2 * nn.functional.one_hot(labels, FEATURES), labels


class Net(nn.Module):
    """A stem, a body and a head, with faults to choose from."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.stem = nn.Linear(FEATURES, WIDTH)  # stem
        self.activation: nn.Module = nn.ReLU()
        self.body = nn.Sequential(
            nn.Linear(WIDTH, WIDTH),  # item
            nn.ReLU(),
        )
        self.head = nn.Linear(WIDTH, CLASSES)  # head
        if fault == "dead":
            nn.init.constant_(self.stem.bias, -100.0)
        if fault == "unused":
            self.spare = nn.Linear(2, 2)  # spare
        if fault == "constant":
            nn.init.constant_(self.head.weight, 0.0)
            self.head.weight.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        stream = self.activation(self.stem(inputs))
        stream = self.body(stream)
        if self.fault == "detached":
            stream = stream.detach()
        outputs: Tensor = self.head(stream)
        if self.fault == "nan":
            outputs = outputs / 0.0 * 0.0
        return outputs.detach() if self.fault == "no path" else outputs


class Residual(nn.Module):
    """Blocks whose branches begin at 0, as Fixup and ReZero do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(FEATURES, WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
            for _ in range(3)
        )
        self.head = nn.Linear(WIDTH, CLASSES)
        for block in self.blocks:
            nn.init.zeros_(block.get_submodule("2").get_parameter("weight"))
            nn.init.zeros_(block.get_submodule("2").get_parameter("bias"))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        stream = self.stem(inputs)
        for block in self.blocks:
            stream = stream + block(stream)
        outputs: Tensor = self.head(stream)
        return outputs


def failures(
    make_model: Callable[[], nn.Module],
    batch: Any = None,
    loss: Any = cross_entropy,
    **options: Any,
) -> dict[str, Failure]:
    """Return the checks that a network fails, by name, in their order."""
    with pytest.raises(DoesNotTrainError) as caught:
        assert_trains(make_model, batch or make_batch(), loss, **options)
    assert isinstance(caught.value, AssertionError)
    by_check: dict[str, Failure] = {}
    for failure in caught.value.failures:
        by_check.setdefault(failure.check, failure)
        assert str(failure) in str(caught.value)
    return by_check


def with_zero_head() -> nn.Module:
    model = Net()
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    return model


def with_normalization_and_dropout() -> nn.Module:
    return nn.Sequential(
        nn.Linear(FEATURES, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(WIDTH, CLASSES),
    )


def with_lazy_layers() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(WIDTH), nn.Tanh(), nn.LazyLinear(CLASSES))


def smoothed(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets, label_smoothing=0.2)


@pytest.mark.parametrize(
    "make_model",
    [Net, Residual, with_zero_head, with_normalization_and_dropout, with_lazy_layers],
)
def test_networks_that_train_pass(make_model: Callable[[], nn.Module]) -> None:
    assert assert_trains(make_model, make_batch(), cross_entropy) == []


def test_label_smoothing_passes() -> None:
    assert_trains(Net, make_batch(), smoothed)


def test_a_warm_up_in_a_hook_passes() -> None:
    def warming_up(parameters: Any) -> Optimizer:
        optimizer = Adam(parameters, lr=0.0)

        def warm_up(optimizer: Optimizer, *_: object) -> None:
            group = optimizer.param_groups[0]
            group["lr"] = min(1e-3, group["lr"] + 2e-5)

        optimizer.register_step_pre_hook(warm_up)
        return optimizer

    assert_trains(Net, make_batch(), cross_entropy, optimizer=warming_up)


def test_an_optimizer_that_needs_a_closure_passes() -> None:
    assert_trains(Net, make_batch(), cross_entropy, optimizer=LBFGS)


def test_a_base_that_is_frozen_on_purpose_passes_and_is_mentioned() -> None:
    def tuned() -> nn.Module:
        model = Net()
        model.stem.requires_grad_(False)
        return model

    (remark,) = assert_trains(tuned, make_batch(), cross_entropy)
    assert remark == "2 parameters have requires_grad=False: stem.weight, stem.bias"


def test_a_regression_passes() -> None:
    inputs, _ = make_batch()
    model = partial(nn.Sequential, nn.Linear(FEATURES, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))
    assert_trains(model, (inputs, inputs[:, :1] * 2 + 1), mse_loss)


def test_a_loss_that_compares_examples_among_themselves_passes() -> None:
    inputs, _ = make_batch()

    def contrast(outputs: Tensor, _targets: Tensor) -> Tensor:
        first, second = outputs.chunk(2, dim=1)
        return cross_entropy(first @ second.T, torch.arange(len(first)))

    def embed() -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 16))

    assert_trains(embed, (inputs, torch.zeros(len(inputs))), contrast)


def test_targets_that_are_all_the_same_pass() -> None:
    inputs, labels = make_batch()
    assert_trains(Net, (inputs, torch.zeros_like(labels)), cross_entropy)


def test_one_example_passes() -> None:
    inputs, labels = make_batch()
    assert_trains(Net, (inputs[:1], labels[:1]), cross_entropy)


class Two(nn.Module):
    """Takes two inputs, of which one is text."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, WIDTH)
        self.stem = nn.Linear(FEATURES, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, words: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Return logits under a name."""
        stream = self.stem(features).relu() + self.embedding(words).mean(1)
        return {"logits": self.head(stream)}


@dataclass
class Named:
    """What a network may return."""

    logits: Tensor
    losses: tuple[Tensor, ...] = ()


class Answering(Net):
    """Returns a dataclass."""

    def forward(self, inputs: Tensor) -> Any:
        """Return logits under a name."""
        return Named(super().forward(inputs))


def test_outputs_may_be_of_a_class_with_fields() -> None:
    assert_trains(Answering, make_batch(), lambda outputs, y: cross_entropy(outputs.logits, y))


@pytest.mark.parametrize("kind", [tuple, dict])
def test_inputs_may_be_several(kind: type) -> None:
    features, labels = make_batch()
    words = torch.arange(2 * len(labels)).reshape(-1, 2) % 5
    given = (words, features) if kind is tuple else {"features": features, "words": words}
    assert_trains(Two, (given, labels), lambda outputs, y: cross_entropy(outputs["logits"], y))


def test_a_detached_layer_is_named_with_its_line() -> None:
    failure = failures(lambda: Net("detached"))["connected"]
    assert failure.module == "stem.weight"
    assert failure.place
    assert Path(failure.place.file) == Path(__file__)
    assert failure.place.line == line_with("stem")
    assert failure.measured == "4 parameters without a gradient (detached)"
    assert "detach" in failure.reason


def test_an_unused_layer_is_told_apart_from_a_detached_one() -> None:
    failed = failures(lambda: Net("unused"))
    assert list(failed) == ["connected"]
    assert failed["connected"].module == "spare.weight"
    assert "unused" in failed["connected"].measured
    assert failed["connected"].place
    assert failed["connected"].place.line == line_with("spare")


def test_a_loss_that_depends_on_no_parameter_is_the_only_failure() -> None:
    failed = failures(lambda: Net("no path"))
    assert list(failed) == ["connected"]
    assert "depends on no parameter" in failed["connected"].reason


def test_a_network_that_is_frozen_as_a_whole_fails() -> None:
    failure = failures(lambda: Net().requires_grad_(False))["connected"]
    assert "nothing is left that learns" in failure.reason


def test_a_parameter_that_the_optimizer_leaves_out_fails() -> None:
    failed = failures(Net, optimizer=lambda parameters: Adam(parameters[2:], lr=1e-3))
    assert failed["connected"].module == "stem.weight"
    assert failed["connected"].measured == "2 parameters not in the optimizer"


def test_dead_units_are_named_before_what_they_lead_to() -> None:
    failed = failures(lambda: Net("dead"))
    assert next(iter(failed)) == "dead units"
    assert failed["dead units"].module == "stem"
    assert failed["dead units"].measured.startswith("100%")
    assert failed["connected"].measured == (
        "2 parameters with a gradient of exactly 0 at every traced step"
    )


def test_outputs_that_do_not_depend_on_the_input_fail() -> None:
    failed = failures(lambda: Net("constant"))
    assert "dependence" in failed
    assert "answers" in failed


def test_a_loss_that_is_not_finite_is_the_gravest_failure() -> None:
    failed = failures(lambda: Net("nan"))
    assert next(iter(failed)) == "finite"
    assert "from step 1 on" in failed["finite"].measured


def test_the_layer_where_values_stop_being_finite_is_named() -> None:
    class Broken(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.head(self.body(self.stem(inputs).log()))
            return outputs

    failure = failures(Broken)["finite"]
    assert failure.module == "body.0"
    assert failure.place
    assert failure.place.line == line_with("item")


def test_inputs_that_are_not_finite_are_said_to_be_the_reason() -> None:
    inputs, labels = make_batch()
    inputs[3, 4] = torch.nan
    assert "inputs of the batch" in failures(Net, (inputs, labels))["finite"].reason


def deep(gain: float) -> nn.Module:
    layers = [m for _ in range(12) for m in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())]
    model = nn.Sequential(nn.Linear(FEATURES, WIDTH), *layers, nn.Linear(WIDTH, CLASSES))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=gain / WIDTH**0.5)
    return model


def test_a_gradient_that_vanishes_fails_with_its_factor_and_where_the_network_is_made() -> None:
    failure = failures(lambda: deep(0.3))["attenuation"]
    assert failure.module == "0"
    assert "vanishes" in failure.reason
    assert "12 blocks" in failure.reason or "13 blocks" in failure.reason
    assert failure.place
    assert Path(failure.place.file) == Path(__file__)


def test_an_attenuation_within_other_bounds_passes_the_check() -> None:
    assert "attenuation" not in failures(lambda: deep(0.3), attenuation=(1e-30, 1e6))


def test_one_block_that_takes_most_of_the_gradient_is_named() -> None:
    def narrow() -> nn.Module:
        model = Net()
        with torch.no_grad():
            model.head.weight.mul_(1e-9)
        return model

    failure = failures(narrow, optimizer=partial(SGD, lr=1e-3))["attenuation"]
    assert failure.module == "head"
    assert failure.place
    assert failure.place.line == line_with("head")


@pytest.mark.parametrize(
    ("rate", "word"), [(1e-9, "the steps are too small"), (1e4, "the steps may be too large")]
)
def test_a_rate_that_is_far_off_fails_and_is_suspected(rate: float, word: str) -> None:
    failed = failures(Net, optimizer=partial(SGD, lr=rate))
    assert word in failed["loss"].reason if "loss" in failed else "finite" in failed


def random_states() -> list[str]:
    """Return the states of torch's, Python's and NumPy's global generators."""
    states = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state())  # noqa: NPY002
    return [str(state) for state in states]


def test_nothing_of_the_user_is_changed() -> None:
    class Inplace(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs.mul_(2))

    model = Inplace()
    model.activation = nn.Sequential(nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(0.1))
    model.stem.weight.grad = torch.ones_like(model.stem.weight)
    model.head.eval()
    before = copy.deepcopy(model.state_dict())
    inputs, labels = make_batch()
    given = inputs.clone(), labels.clone()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    states = random_states()
    assert_trains(lambda: model, (inputs, labels), cross_entropy)
    assert random_states() == states
    assert all(torch.equal(values, before[key]) for key, values in model.state_dict().items())
    assert torch.equal(model.stem.weight.grad, torch.ones_like(model.stem.weight))
    assert model.head.weight.grad is None
    assert not model.head.training
    assert model.stem.training
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(inputs, given[0])
    assert torch.equal(labels, given[1])


def test_the_same_arguments_fail_with_the_same_words() -> None:
    texts = set()
    for seed in range(3):
        torch.manual_seed(seed)  # of the user, which should not matter
        with pytest.raises(DoesNotTrainError) as caught:
            assert_trains(lambda: Net("detached"), make_batch(), cross_entropy)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_it_works_where_gradients_are_switched_off() -> None:
    with torch.no_grad():
        assert_trains(Net, make_batch(), cross_entropy)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((Net(), make_batch(), cross_entropy), {}, "make_model: should be a function"),
        ((lambda: 3, make_batch(), cross_entropy), {}, "make_model: should return an nn.Module"),
        ((Net, make_batch()[0], cross_entropy), {}, "batch: should be (inputs, targets)"),
        ((Net, make_batch(), 3), {}, "loss: should be a function"),
        ((Net, make_batch(), lambda outputs, _: outputs), {}, "loss: should return one number"),
        ((Net, make_batch(), cross_entropy), {"steps": 1}, "steps: should be 2 or more; given 1"),
        ((Net, make_batch(), cross_entropy), {"seeds": ()}, "seeds: should have one or more"),
        ((Net, make_batch(), cross_entropy), {"optimizer": lambda _: 3}, "should return a torch"),
    ],
)
def test_an_argument_that_cannot_be_used_is_an_error(
    arguments: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError) as caught:
        assert_trains(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
