"""A training of transformers' Trainer, against a loop by hand that reads `.grad` before steps."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from tests.support.study import ROOT
from tests.support.twins import Norms, check_norms, norms_of
from vanishing import read_run
from vanishing.integrations.huggingface import Watch

BATCHES, SIZE = 7, 2  # with accumulation, the last step has fewer micro-batches than the others
RATE = 1e-3


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def network() -> LlamaForCausalLM:
    """Draw a small network, always the same."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8,
    )
    return LlamaForCausalLM(config)


def sequences() -> Tensor:
    """Draw the sequences of all batches, always the same."""
    return torch.randint(11, (BATCHES * SIZE, 6), generator=torch.Generator().manual_seed(1))


def trainer(folder: Path, watch: Watch, collate: Any = None, **options: Any) -> Trainer:
    """Make a trainer of an epoch that takes the sequences in their order."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=SIZE,
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **{"logging_steps": 1, **options},
    )
    data: Any = [{"input_ids": row, "labels": row} for row in sequences()]
    return Trainer(network(), arguments, collate, data, callbacks=[watch])


def train_by_hand(accumulation: int, clipping: float) -> tuple[Norms, list[float]]:
    """Return the norms just before each step, and the mean loss of each step's micro-batches."""
    model = network()
    optimizer = AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    norms: Norms = {}
    losses: list[float] = []
    groups = torch.split(sequences(), SIZE * accumulation)  # the last one is smaller
    for step, group in enumerate(groups, start=1):
        loss = model(input_ids=group, labels=group).loss  # the mean over all tokens of the step
        loss.backward()
        losses.append(loss.item())
        if clipping:
            clip_grad_norm_(model.parameters(), clipping)
        norms |= norms_of(model, step)
        optimizer.step()
        optimizer.zero_grad()
    return norms, losses


@pytest.mark.parametrize(("accumulation", "clipping"), [(1, 0.0), (3, 0.0), (3, 0.1)])
def test_gradients_and_losses_are_those_of_a_loop_by_hand(
    tmp_path: Path, accumulation: int, clipping: float
) -> None:
    options = {"gradient_accumulation_steps": accumulation, "max_grad_norm": clipping}
    trainer(tmp_path / "out", Watch(tmp_path / "run"), **options).train()
    norms, losses = train_by_hand(accumulation, clipping)
    check_norms(tmp_path / "run", norms)
    table = read_run(tmp_path / "run", "losses")
    assert table["step"].tolist() == list(range(1, len(losses) + 1))
    assert table["loss"].tolist() == pytest.approx(losses, rel=1e-5)
    # The Trainer computes the norm where it does not clip, too.
    assert (read_run(tmp_path / "run", "steps")["norm_before_clipping"] > 0.1).all()


def test_losses_are_the_means_that_the_trainer_logs(tmp_path: Path) -> None:
    trainer(tmp_path / "out", Watch(tmp_path / "run"), logging_steps=3, max_grad_norm=0.0).train()
    _, losses = train_by_hand(1, 0.0)
    table = read_run(tmp_path / "run", "losses")
    assert table["step"].tolist() == [3, 6]
    means = [sum(losses[:3]) / 3, sum(losses[3:6]) / 3]
    assert table["loss"].tolist() == pytest.approx(means, rel=1e-5)


def fail_late(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Put a batch together, except the last one."""
    if torch.equal(rows[-1]["input_ids"], sequences()[-1]):
        raise RuntimeError("out of memory")
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def test_an_exception_within_with_leaves_a_whole_run(tmp_path: Path) -> None:
    with Watch(tmp_path / "run") as watch, pytest.raises(RuntimeError, match="out of memory"):
        trainer(tmp_path / "out", watch, fail_late).train()
    assert (tmp_path / "run/trace.parquet").exists()
    assert read_run(tmp_path / "run", "steps")["step"].max() >= BATCHES - 2


@pytest.mark.slow
def test_a_program_that_an_exception_ends_leaves_a_whole_run(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.vanishing.integrations.test_huggingface import Watch, fail_late, trainer\n"
        "folder = Path(sys.argv[1])\n"
        "trainer(folder / 'out', Watch(folder / 'run'), fail_late).train()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "RuntimeError: out of memory" in done.stderr
    assert (tmp_path / "run/trace.parquet").exists()
    assert read_run(tmp_path / "run", "steps")["step"].max() >= BATCHES - 2
