"""A training of Lightning, against a loop by hand that reads `.grad` just before each step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.data import DataLoader

from tests.support.twins import Norms, check_norms, norms_of
from vanishing import read_run
from vanishing.integrations.lightning import Watch

BATCHES = 7  # with accumulation, the last step has fewer micro-batches than the others


class Network(LightningModule):
    """A small network that always begins alike, and fails at one batch if it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        self.fails_at = fails_at
        rng = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=rng)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        """Return the loss of a batch."""
        if batch_idx == self.fails_at:
            raise RuntimeError("out of memory")
        return self.loss(batch)

    def loss(self, batch: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        loss: Tensor = self.body(batch).square().mean()
        return loss

    def configure_optimizers(self) -> Any:
        """Make the optimizer."""
        return AdamW(self.parameters(), lr=0.01)


class Alternating(Network):
    """Two optimizers take turns, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:  # noqa: ARG002
        """Take a step of each optimizer."""
        loss = self.loss(batch)
        self.manual_backward(loss)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def configure_optimizers(self) -> list[Optimizer]:
        """Make an optimizer for each layer."""
        return [SGD(self.body[0].parameters(), 0.1), SGD(self.body[2].parameters(), 0.1)]


def batches() -> Tensor:
    """Draw the batches, always the same."""
    return torch.randn(BATCHES, 6, 4, generator=torch.Generator().manual_seed(1))


def fit(network: Network, watch: Watch, **options: Any) -> None:
    """Train a network for an epoch."""
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch],
        **options,
    )
    dataset: Any = list(batches())
    trainer.fit(network, DataLoader(dataset, batch_size=None))


def train_by_hand(accumulation: int, clipping: float | None) -> tuple[Norms, list[float]]:
    """Return the norms just before each step, and the mean loss of each step's micro-batches."""
    network = Network()
    optimizer = network.configure_optimizers()
    norms: Norms = {}
    losses: list[list[float]] = [[]]
    for number, batch in enumerate(batches(), start=1):
        loss = network.loss(batch)
        losses[-1].append(loss.item())
        torch.autograd.backward(loss / accumulation)
        if number % accumulation == 0 or number == BATCHES:
            if clipping is not None:
                clip_grad_norm_(network.parameters(), clipping)
            norms |= norms_of(network, len(losses))
            optimizer.step()
            optimizer.zero_grad()
            losses.append([])
    return norms, [sum(group) / len(group) for group in losses[:-1]]


@pytest.mark.parametrize(("accumulation", "clipping"), [(1, None), (3, None), (3, 0.1)])
def test_gradients_and_losses_are_those_of_a_loop_by_hand(
    tmp_path: Path, accumulation: int, clipping: float | None
) -> None:
    options = {"accumulate_grad_batches": accumulation, "gradient_clip_val": clipping}
    fit(Network(), Watch(tmp_path / "run"), **options)
    norms, losses = train_by_hand(accumulation, clipping)
    check_norms(tmp_path / "run", norms)
    table = read_run(tmp_path / "run", "losses")
    assert table["step"].tolist() == list(range(1, len(losses) + 1))
    assert table["loss"].tolist() == pytest.approx(losses)
    before_clipping = read_run(tmp_path / "run", "steps")["norm_before_clipping"]
    assert before_clipping.notna().all() == (clipping is not None)


def test_two_optimizers_have_steps_of_their_own(tmp_path: Path) -> None:
    fit(Alternating(), Watch(tmp_path / "run"))
    steps = read_run(tmp_path / "run", "steps")
    assert steps.groupby("optimizer")["step"].max().to_dict() == {"0": BATCHES, "1": BATCHES}
    assert read_run(tmp_path / "run", "losses")["step"].tolist() == list(range(1, BATCHES + 1))


def test_the_options_are_those_of_a_watch(tmp_path: Path) -> None:
    options: dict[str, Any] = {"parameters": "weight$", "updates": False, "modules": False}
    fit(Network(), Watch(tmp_path / "run", every=2, **options), max_steps=3)
    assert set(read_run(tmp_path / "run", "trace")["tensor"]) == {"weight_gradient", "weight"}


def test_an_exception_leaves_a_whole_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(Network(fails_at=4), Watch(tmp_path / "run"))
    assert (tmp_path / "run/trace.parquet").exists()
    assert read_run(tmp_path / "run", "steps")["step"].max() >= 4
