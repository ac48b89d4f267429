"""Training loops as people write them, one per case in which a gradient is easily misread.

A loop tells its watcher when a step comes and when it was taken, and knows nothing else of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import LBFGS, SGD, AdamW, Optimizer

from benchmarks import small_networks as networks
from benchmarks.watchers.watcher import Watcher

STEPS = 5
_BATCH = 6
_MICRO_BATCHES = 4
_SCALE = 2.0**8
_BACKEND = "aot_eager"  # captures graphs, of forward and backward, as inductor does, in less time


class Training:
    """A network, its optimizers and its data, always the same.

    Attributes:
        scaler: Of the loss; None where there is none.
        unscaled: Whether the gradients of the step that comes are unscaled already.
    """

    def __init__(self, case: "Case", compiled: bool = False) -> None:
        torch.manual_seed(0)
        self.model = case.build()
        if compiled:  # at the first call, with the hooks that tools have added until then
            torch.compiler.reset()  # a graph of another tool's hooks would be used again
            self.model.compile(fullgraph=True, backend=_BACKEND)
        self.optimizers = case.optimize(self.model)
        self.scaler = (
            torch.amp.GradScaler("cpu", init_scale=case.loss_scale)
            if case.loss_scale is not None
            else None
        )
        self.unscaled = False
        self.batches = (
            torch.randint(networks.TOKENS, (STEPS, _BATCH))
            if case.tokens
            else torch.randn(STEPS, _BATCH, networks.INPUTS).to(case.dtype)
        )

    def loss(self, batch: Tensor) -> Tensor:
        """Pass a batch through the network."""
        loss: Tensor = self.model(batch).square().mean()
        return loss

    def step(self, watcher: Watcher, loss: Tensor) -> None:
        """Take the step of the one optimizer, with the scaler if there is one."""
        (optimizer,) = self.optimizers
        watcher.before_step(self.model)
        if self.scaler:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()
        watcher.after_step(loss.detach())
        optimizer.zero_grad()
        self.unscaled = False


Loop = Callable[[Training, Watcher], None]


@dataclass(frozen=True)
class Case:
    """A training and its loop.

    Attributes:
        loop: Trains.
        build: Makes the network.
        optimize: Makes the optimizers.
        loss_scale: That the scaler begins with; None without one.
        dtype: Of the inputs.
        tokens: Whether the inputs are tokens.
        clips: Whether gradients are clipped. Then no gradient of an output belongs to those that
            the optimizer uses.
        compiles: Whether the network is compiled as one graph; the truth's is not.
        tolerance: How far, relative to it, a number may be from the truth: the type's rounding.
    """

    loop: Loop
    build: Callable[[], nn.Module] = networks.mlp
    optimize: Callable[[nn.Module], list[Optimizer]] = lambda model: [
        SGD(model.parameters(), lr=0.1)
    ]
    loss_scale: float | None = None
    dtype: torch.dtype = torch.float32
    tokens: bool = False
    clips: bool = False
    compiles: bool = False
    tolerance: float = 1e-4


def plain(training: Training, watcher: Watcher) -> None:
    """Step after each batch."""
    for batch in training.batches:
        loss = training.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        training.step(watcher, loss)


def accumulation(training: Training, watcher: Watcher) -> None:
    """Step after four micro-batches."""
    for batch in training.batches:
        for rows in batch.chunk(_MICRO_BATCHES):
            loss = training.loss(rows) / _MICRO_BATCHES
            loss.backward()  # type: ignore[no-untyped-call]
        training.step(watcher, loss)


def clipping_by_norm(training: Training, watcher: Watcher) -> None:
    """Clip the norm of all gradients together."""
    for batch in training.batches:
        loss = training.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(training.model.parameters(), 0.05)
        training.step(watcher, loss)


def clipping_by_value(training: Training, watcher: Watcher) -> None:
    """Clip each element."""
    for batch in training.batches:
        loss = training.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_value_(training.model.parameters(), 0.01)
        training.step(watcher, loss)


def mixed_precision(training: Training, watcher: Watcher) -> None:
    """Scale the loss, and let the scaler unscale the gradients."""
    for loss in _scaled_losses(training):
        training.step(watcher, loss)


def unscaled_clipping(training: Training, watcher: Watcher) -> None:
    """Scale the loss, unscale the gradients by hand and clip them."""
    assert training.scaler  # noqa: S101
    for loss in _scaled_losses(training):
        training.scaler.unscale_(training.optimizers[0])
        training.unscaled = True
        clip_grad_norm_(training.model.parameters(), 0.05)
        training.step(watcher, loss)


def _scaled_losses(training: Training) -> Iterator[Tensor]:
    assert training.scaler  # noqa: S101
    for batch in training.batches:
        with torch.autocast("cpu", torch.float16):
            loss = training.loss(batch)
        training.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        yield loss


def skipped(training: Training, watcher: Watcher) -> None:
    """Scale by 1, and overflow in one element of the last step, which the scaler skips."""
    assert training.scaler  # noqa: S101
    for number, batch in enumerate(training.batches, start=1):
        outputs = training.model(batch).square()
        factors = torch.ones_like(outputs)
        factors[0, 0] = torch.inf if number == STEPS else 1
        loss = (outputs * factors).mean()
        training.scaler.scale(loss).backward()
        training.step(watcher, loss)


def closure(training: Training, watcher: Watcher) -> None:
    """Let LBFGS evaluate the loss as often as it wants; its last gradient counts."""
    (optimizer,) = training.optimizers
    for batch in training.batches:

        def evaluate(batch: Tensor = batch) -> Tensor:
            optimizer.zero_grad()
            loss = training.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            watcher.before_step(training.model)
            return loss

        loss = optimizer.step(evaluate)  # type: ignore[arg-type]
        watcher.after_step(loss.detach())  # type: ignore[attr-defined]


def two_optimizers(training: Training, watcher: Watcher) -> None:
    """Train a discriminator and a generator, whose loss passes through the discriminator."""
    by_name = dict(zip(training.model, training.optimizers, strict=True))  # type: ignore[call-overload]
    generator, discriminator = training.model.children()
    for batch in training.batches:
        fake = generator(torch.randn_like(batch))
        scores = discriminator(batch) - discriminator(fake.detach())
        softplus(-scores).mean().backward()  # type: ignore[no-untyped-call]
        watcher.before_step(discriminator, "discriminator.")
        by_name["discriminator"].step()
        loss = softplus(-discriminator(fake)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        watcher.before_step(generator, "generator.")
        by_name["generator"].step()
        watcher.after_step(loss.detach())
        for optimizer in training.optimizers:
            optimizer.zero_grad()


def freezing(training: Training, watcher: Watcher) -> None:
    """Freeze the first layer for two steps, and train it again."""
    _train_partly(training, watcher, frozen=(2, 3))


def unfreezing(training: Training, watcher: Watcher) -> None:
    """Train the first layer from the third step on."""
    _train_partly(training, watcher, frozen=(1, 2))


def _train_partly(training: Training, watcher: Watcher, frozen: tuple[int, int]) -> None:
    for number, batch in enumerate(training.batches, start=1):
        training.model.get_submodule("0").requires_grad_(number not in frozen)
        loss = training.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        training.step(watcher, loss)


def inference(training: Training, watcher: Watcher) -> None:
    """Pass batches through without gradients, before a backward pass and after a step."""
    for batch in training.batches:
        loss = training.loss(batch)
        with torch.inference_mode():
            training.loss(batch + 1)
        loss.backward()  # type: ignore[no-untyped-call]
        training.step(watcher, loss)
        with torch.inference_mode():
            training.loss(batch)


def _fused(model: nn.Module) -> list[Optimizer]:
    return [AdamW(model.parameters(), lr=0.01, fused=True)]


def _lbfgs(model: nn.Module) -> list[Optimizer]:
    return [LBFGS(model.parameters(), lr=0.1, max_iter=3)]


def _pair(model: nn.Module) -> list[Optimizer]:
    generator, discriminator = model.children()
    return [AdamW(generator.parameters(), lr=0.01), SGD(discriminator.parameters(), lr=0.1)]


CASES = {
    "plain SGD": Case(plain),
    "accumulation of 4 micro-batches": Case(accumulation),
    "clipping by the norm": Case(clipping_by_norm, clips=True),
    "clipping by value": Case(clipping_by_value, clips=True),
    "float16 autocast, GradScaler": Case(mixed_precision, loss_scale=_SCALE),
    "the same, unscale_ and clipping": Case(unscaled_clipping, loss_scale=_SCALE, clips=True),
    "fused AdamW, GradScaler": Case(mixed_precision, optimize=_fused, loss_scale=_SCALE),
    "a step that the scaler skips": Case(skipped, loss_scale=1.0),
    "LBFGS with a closure": Case(closure, optimize=_lbfgs),
    "two optimizers": Case(two_optimizers, networks.adversaries, _pair),
    "frozen in mid-run": Case(freezing),
    "unfrozen in mid-run": Case(unfreezing, networks.frozen),
    "absent and zero gradients": Case(plain, networks.Branches),
    "tied weights": Case(plain, networks.Tied, tokens=True),
    "sparse embedding gradients": Case(plain, networks.sparse_embedding, tokens=True),
    "complex parameters": Case(plain, networks.Complex),
    "bfloat16 parameters": Case(
        plain, networks.narrow, dtype=torch.bfloat16, tolerance=torch.finfo(torch.bfloat16).eps
    ),
    "LSTM": Case(plain, networks.Recurrent),
    "packed attention": Case(plain, networks.Attention),
    "ReLU(inplace=True)": Case(plain, networks.in_place),
    "`o += x`": Case(plain, networks.Residual),
    "torch.compile(fullgraph=True)": Case(plain, compiles=True),
    "inference passes in between": Case(inference),
    "a module called twice": Case(plain, networks.Repeated),
    "a checkpointed block": Case(plain, networks.Checkpointed),
}
