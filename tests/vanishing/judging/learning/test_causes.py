"""Why a training does not learn: each fault is named, with its layer; a healthy one has none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam, AdamW

from tests.vanishing.judging.learning.trainings import (
    Loop,
    changed,
    double_softmax,
    mixed,
    mlp,
    named,
    sgd,
    summed,
    with_normalization,
)
from vanishing.judging.learning.causes import find_all, find_cause
from vanishing.judging.learning.moment import Moment
from vanishing.judging.runs import load_run


def with_parameter(name: str, change: Callable[[Tensor], object]) -> nn.Sequential:
    """Return a perceptron of which something was done to a parameter."""
    return changed(lambda model: change(model.get_parameter(name)))


class Detached(nn.Module):
    """A perceptron whose first layer is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(784, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.first(x).relu().detach())
        return logits


def sorted_by_label(labels: Tensor) -> Tensor:
    """Return the rows in the order of their labels."""
    return labels.argsort(stable=True)


def with_nan(x: Tensor) -> Tensor:
    """Return images of which one, met at an untraced step, has a pixel that is no number."""
    x = x.clone()
    x[32 * 20, 0] = torch.nan
    return x


def warming_up(parameters: object) -> Adam:
    """Return an Adam whose rate rises for 10,000 steps."""
    optimizer = Adam(parameters, lr=1e-3)  # type: ignore[arg-type]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 10_000)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


FAULTS: dict[str, tuple[Callable[[], Loop], str, str | None]] = {
    "NaN in the data": (lambda: Loop(inputs=with_nan), "non-finite", None),
    "no zero_grad": (lambda: Loop(resets=False), "accumulation", None),
    "detached": (lambda: Loop(Detached()), "detached", "first"),
    "double softmax": (lambda: Loop(loss=double_softmax), "loss", None),
    "summed loss": (lambda: Loop(loss=summed), "loss", None),
    "sorted": (lambda: Loop(order=sorted_by_label), "order", None),
    "evaluation mode": (
        lambda: Loop(with_normalization(lambda part: part.eval())),
        "normalization",
        "1",
    ),
    "statistics never updated": (
        lambda: Loop(with_normalization(lambda part: setattr(part, "momentum", 0.0))),
        "normalization",
        "1",
    ),
    "unscaled": (lambda: Loop(inputs=lambda x: 127.5 * (x + 1)), "inputs", None),
    "scaled twice": (lambda: Loop(inputs=lambda x: x / 255), "inputs", None),
    "offset": (lambda: Loop(inputs=lambda x: x + 10), "inputs", None),
    "momentum": (lambda: Loop(optimizer=sgd(momentum=1.01)), "momentum", None),
    "weight decay": (lambda: Loop(optimizer=sgd(weight_decay=1.0)), "weight-decay", None),
    "epsilon": (lambda: Loop(optimizer=lambda p: Adam(p, eps=1.0)), "epsilon", None),
    "clipping": (lambda: Loop(optimizer=sgd(), clip=1e-4), "clipping", None),
    "warm-up": (lambda: Loop(optimizer=warming_up), "warm-up", None),
    "equal weights": (
        lambda: Loop(with_parameter("hidden1.weight", lambda w: w.fill_(0.01))),
        "initialisation",
        "hidden1",
    ),
    "small weights": (
        lambda: Loop(with_parameter("hidden2.weight", lambda w: w.mul_(1e-3))),
        "initialisation",
        "hidden2",
    ),
    "large weights": (
        lambda: Loop(with_parameter("head.weight", lambda w: w.mul_(100))),
        "initialisation",
        "head",
    ),
    "dead units": (
        lambda: Loop(with_parameter("hidden2.bias", lambda b: b.fill_(-100.0))),
        "dead-units",
        "hidden2",
    ),
    "dead units beside AdamW's weight decay": (
        lambda: Loop(with_parameter("hidden2.bias", lambda b: b.fill_(-100.0)), AdamW),
        "dead-units",
        "hidden2",
    ),
    "depth beside a usual weight decay": (
        lambda: Loop(mlp(12, nn.Sigmoid), sgd(weight_decay=5e-4)),
        "vanishing",
        "hidden1",
    ),
    "large rate": (lambda: Loop(optimizer=sgd(100.0)), "learning-rate", None),
    "half precision": (
        lambda: Loop(mlp().bfloat16(), sgd(1e-4), inputs=lambda x: x.bfloat16()),
        "precision",
        None,
    ),
    "small rate": (lambda: Loop(optimizer=sgd(1e-9)), "learning-rate", None),
    "depth": (lambda: Loop(mlp(12, nn.Sigmoid)), "vanishing", "hidden1"),
    "frozen": (
        lambda: Loop(changed(lambda m: m[0].requires_grad_(False))),
        "frozen",
        "hidden1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_layer(fault: str, tmp_path: Path) -> None:
    make, name, layer = FAULTS[fault]
    cause = find_cause(Moment(load_run(make().train(tmp_path / "run", steps=30))))
    assert cause is not None
    assert (cause.name, cause.layer) == (name, layer)
    assert cause.limit.holds(cause.measured)
    assert cause.sentence.endswith(".")


def test_of_a_healthy_training_the_data_alone_are_left(tmp_path: Path) -> None:
    causes = find_all(Moment(load_run(Loop().train(tmp_path / "run", steps=30))))
    assert [cause.name for cause in causes] == ["labels"]


class ReadsLines(nn.Module):
    """A recurrent network that reads an image line by line, and answers after the last one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.RNN(28, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of images, (examples, 784)."""
        states, _ = self.rnn(images.reshape(-1, 28, 28))
        last: Tensor = self.head(states[:, -1])
        return last


def test_a_gradient_that_vanishes_through_time_is_a_cause(tmp_path: Path) -> None:
    model = ReadsLines()
    run = load_run(Loop(model, optimizer=sgd(1e-3)).train(tmp_path / "run", steps=6))
    causes = [cause for cause in find_all(Moment(run)) if "time" in cause.sentence]
    assert [(cause.name, cause.layer) for cause in causes] == [("vanishing", "rnn")]
    with torch.no_grad():
        parameters = dict(model.named_parameters())
        parameters["rnn.weight_hh_l0"].copy_(torch.eye(16))
        parameters["rnn.weight_ih_l0"].mul_(0.01)
    run = load_run(Loop(model, optimizer=sgd(1e-3)).train(tmp_path / "identity", steps=6))
    assert not any("time" in cause.sentence for cause in find_all(Moment(run)))


def test_labels_that_are_mixed_are_no_softmax_too_many(tmp_path: Path) -> None:
    moment = Moment(load_run(Loop(loss=mixed).train(tmp_path / "run", steps=30)))
    assert moment.scale < 0.6
    assert "loss" not in {cause.name for cause in find_all(moment)}


def test_a_parameter_that_no_optimizer_holds_is_named(tmp_path: Path) -> None:
    model = mlp()
    held = [p for layer in named(model, ["hidden1", "head"]) for p in layer.parameters()]
    loop = Loop(model, optimizer=lambda _: Adam(held))
    cause = find_cause(Moment(load_run(loop.train(tmp_path / "run", steps=6))))
    assert cause is not None
    assert (cause.name, cause.layer) == ("not-held", "hidden2")


def test_a_loss_that_is_no_cross_entropy_is_judged_without_labels(tmp_path: Path) -> None:
    def squares(z: Tensor, labels: Tensor) -> Tensor:
        return (z - nn.functional.one_hot(labels, 10)).square().mean()

    moment = Moment(load_run(Loop(loss=squares).train(tmp_path / "run", steps=6)))
    assert not moment.is_softmax
    assert [cause.name for cause in find_all(moment)] == ["labels"]
    assert Moment(load_run(Loop(loss=cross_entropy).train(tmp_path / "other", steps=6))).is_softmax
