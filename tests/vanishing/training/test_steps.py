"""The steps of an epoch: which examples they take, and what they leave."""

import pytest
import torch
from torch import Tensor, nn

from vanishing.datasets.examples import Examples
from vanishing.networks.linear import Linear
from vanishing.params.optimizers import Sgd
from vanishing.params.study import Training
from vanishing.recording.trace import Trace
from vanishing.seeds import generator
from vanishing.training.steps import Steps


class Listening(nn.Module):
    """A linear classifier that keeps the batches that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.output = Linear(1, 2)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.batches: list[list[float]] = []

    def forward(self, x: Tensor) -> Tensor:
        """Keep the batch and apply the layer."""
        self.batches.append(x[:, 0].tolist())
        logits: Tensor = self.output(x)
        return logits


def make_steps(count: int, batch_size: int) -> tuple[Steps, Listening]:
    """Make the steps of numbered examples, the odd ones of class 1."""
    numbers = torch.arange(float(count))
    settings = Training(
        epochs=1,
        batch_size=batch_size,
        optimizer=Sgd(name="sgd", learning_rate=1e-9, momentum=0.0),
        clip_norm="none",
        precision="float32",
        snapshots=(0, 1),
        evaluation_size=1,
        trace_every=1,
        device="cpu",
    )
    network = Listening()
    examples = Examples(numbers[:, None], (numbers % 2).long())
    return Steps(network, settings, examples, Trace(network)), network


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (23, 5, [5, 5, 5, 5, 3]),
        (20, 5, [5, 5, 5, 5]),
        (11, 5, [5, 5]),  # batch normalization has no variance in a batch of one
        (3, 5, [3]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_an_epoch_takes_each_example_once_in_the_order_that_is_drawn(
    count: int, size: int, sizes: list[int]
) -> None:
    steps, network = make_steps(count, size)
    assert steps.sizes == sizes
    order = generator(0, "order")
    for _ in range(2):
        network.batches.clear()
        steps.begin(order)
        for index in range(len(sizes)):
            steps.take(index, traced=False)
        assert [len(batch) for batch in network.batches] == sizes
        taken = [number for batch in network.batches for number in batch]
        assert len(set(taken)) == sum(sizes)
        if count > size:
            assert taken != sorted(taken)


def test_losses_and_correct_examples_are_those_of_the_epoch() -> None:
    steps, _ = make_steps(23, 5)
    for _ in range(2):
        steps.begin(generator(0, "order"))
        for index in range(5):
            steps.take(index, traced=False)
        torch.testing.assert_close(steps.losses, torch.full((5,), 2.0).log())
        assert 0 < int(steps.correct) < 23


def test_a_traced_step_has_an_observer_and_another_has_none() -> None:
    steps, _ = make_steps(10, 5)
    steps.begin(generator(0, "order"))
    assert steps.take(0, traced=False) is None
    observer = steps.take(1, traced=True)
    assert observer is not None
    assert observer.read() is not None
