"""The changes that are tried: of initialisation, activation, normalisation, paths, inputs, steps.

Each changes a copy of the network, or the optimizer, and says in Python how it is done for good.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from vanishing.gate.assertion import adam
from vanishing.gate.trials import MakeOptimizer
from vanishing.remedies import surgery
from vanishing.remedies.surgery import NotApplicableError
from vanishing.remedies.task import Task

# From the smallest change to the largest: what is set, what is drawn, what is built.
Kind = Literal[
    "learning rate",
    "warm-up",
    "inputs",
    "initialisation",
    "optimizer",
    "activation",
    "normalisation",
    "skip",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRUCTURE: tuple[Kind, ...] = ("initialisation", "activation", "normalisation", "skip")
_WARM_UP = 0.1  # of the steps that are planned


@dataclass(frozen=True, eq=False)
class Change:
    """One change of a training, or a pair.

    Attributes:
        name: In a few words.
        kinds: One, or those of the pair.
        code: Lines of Python that do it.
        alter: Changes a network in place, for a task; raises NotApplicableError. None: none.
        optimize: Returns another way to make the optimizer, likewise.
        params: The keys of a variant of params.yaml that do it; empty where none do.
    """

    name: str
    kinds: tuple[Kind, ...]
    code: str
    alter: Callable[[nn.Module, Task], None] | None = None
    optimize: Callable[[MakeOptimizer, Task], MakeOptimizer] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How much it changes, to be compared alone: a pair is more than any single change."""
        return sum(KINDS.index(kind) for kind in self.kinds) + len(KINDS) * (len(self.kinds) - 1)

    @property
    def is_structural(self) -> bool:
        """Whether it is of the network, and its effect is seen before any training."""
        return all(kind in STRUCTURE for kind in self.kinds)


def with_(first: Change, second: Change) -> Change:
    """Return both changes as one; of networks the one that builds comes first."""
    ordered = sorted((first, second), key=lambda change: -change.size)
    alters = [change.alter for change in ordered if change.alter]
    optimizes = [change.optimize for change in ordered if change.optimize]

    def alter(model: nn.Module, task: Task) -> None:
        for change in alters:
            change(model, task)

    def optimize(make: MakeOptimizer, task: Task) -> MakeOptimizer:
        for change in optimizes:
            make = change(make, task)
        return make

    return Change(
        " + ".join(change.name for change in ordered),
        (*first.kinds, *second.kinds),
        "\n".join(change.code for change in ordered),
        alter if alters else None,
        optimize if optimizes else None,
        {**first.params, **second.params} if first.params and second.params else {},
    )


def _initialisation(
    name: str, draw: surgery.Draw, code: str, params: Mapping[str, Any] | None = None
) -> Change:
    lines = (
        "for layer in model.modules():\n"
        "    if isinstance(layer, (nn.Linear, nn.Conv2d)):\n"
        f"        nn.init.{code}\n"
        "        nn.init.zeros_(layer.bias)"
    )
    return Change(
        name,
        ("initialisation",),
        lines,
        lambda model, _task: surgery.reinitialise(model, draw),
        params=params or {},
    )


def _he(weight: Tensor) -> None:
    nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def _activation(name: str, make: Callable[[], nn.Module], params: Mapping[str, Any]) -> Change:
    return Change(
        name,
        ("activation",),
        f"nn.{make.__name__}() in place of the activations",
        lambda model, _task: surgery.replace_activations(model, make),
        params=params,
    )


def _normalisation(name: str, kind: str, code: str, params: Mapping[str, Any]) -> Change:
    return Change(
        name,
        ("normalisation",),
        code,
        lambda model, task: surgery.normalise(model, task.batch, kind),
        params=params,
    )


def rate(factor: float) -> Change:
    """Return the change of the learning rate by a factor."""

    def optimize(make: MakeOptimizer, _task: Task) -> MakeOptimizer:
        return partial(_scaled, make, factor)

    return Change(
        f"learning rate × {factor:g}",
        ("learning rate",),
        f"lr = {factor:g} * lr",
        optimize=optimize,
    )


def _scaled(make: MakeOptimizer, factor: float, parameters: Sequence[nn.Parameter]) -> Optimizer:
    optimizer = make(parameters)
    for group in optimizer.param_groups:
        for key in {"lr", "initial_lr"} & group.keys():
            group[key] = factor * group[key]
    return optimizer


def _warm_up(make: MakeOptimizer, task: Task) -> MakeOptimizer:
    return partial(_warmed_up, make, max(1, round(_WARM_UP * task.steps)))


def _warmed_up(make: MakeOptimizer, steps: int, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Let the learning rate rise to what the loop sets, linearly over the first steps."""
    optimizer = make(parameters)
    taken = 0
    rates: list[float] = []

    def lower(optimizer: Optimizer, *_arguments: object) -> None:
        nonlocal taken, rates
        taken += 1
        rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= min(1.0, taken / steps)

    def restore(optimizer: Optimizer, *_arguments: object) -> None:
        for group, value in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = value

    optimizer.register_step_pre_hook(lower)
    optimizer.register_step_post_hook(restore)
    return optimizer


def _adam(make: MakeOptimizer, task: Task) -> MakeOptimizer:
    parameters = [p for p in task.new_model().parameters() if p.requires_grad]
    optimizer = make(parameters)
    usual = Adam.__name__ in type(optimizer).__name__ and all(
        group["lr"] == adam(parameters).defaults["lr"] for group in optimizer.param_groups
    )
    if usual:
        raise NotApplicableError("the optimizer is Adam with a learning rate of 0.001 already")
    return adam


XAVIER = _initialisation(
    "Xavier initialisation",
    nn.init.xavier_uniform_,
    "xavier_uniform_(layer.weight)",
    {"init": "xavier_uniform"},
)
HE = _initialisation(
    "He initialisation",
    _he,
    'kaiming_uniform_(layer.weight, nonlinearity="relu")',
    {"init": "he_uniform"},
)
ORTHOGONAL = _initialisation(
    "orthogonal initialisation", nn.init.orthogonal_, "orthogonal_(layer.weight)"
)
LSUV = Change(
    "layer-sequential unit variance",
    ("initialisation",),
    "orthogonal weights, each layer's divided by the standard deviation of its outputs in turn",
    lambda model, task: surgery.lsuv(model, task.batch),
)
RELU = _activation("ReLU", nn.ReLU, {"activation": "relu"})
SWISH = _activation("Swish", nn.SiLU, {"activation": "swish"})
TANH = _activation("tanh", nn.Tanh, {"activation": "tanh"})
BATCH_NORM = _normalisation(
    "batch normalization",
    "batch",
    "nn.BatchNorm1d(width) behind each hidden nn.Linear (nn.BatchNorm2d behind nn.Conv2d)",
    {"normalization": "batch"},
)
LAYER_NORM = _normalisation(
    "layer normalization", "layer", "nn.LayerNorm(width) behind each hidden nn.Linear", {}
)
SKIPS = Change(
    "skip connections",
    ("skip",),
    "h = h + activation(layer(h)) where the shapes agree",
    lambda model, task: surgery.add_skips(model, task.batch),
    params={"skip": True},
)
INPUTS = Change(
    "scaled inputs",
    ("inputs",),
    "inputs = (inputs - train_inputs.mean()) / train_inputs.std()",
    lambda model, task: surgery.scale_inputs(model, task.train.inputs),
)
ADAM = Change(
    "Adam",
    ("optimizer",),
    "optimizer = torch.optim.Adam(model.parameters(), lr=0.001)",
    optimize=_adam,
    params={"optimizer": {"name": "adam", "learning_rate": 0.001}},
)
WARM_UP = Change(
    "warm-up",
    ("warm-up",),
    "scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=steps // 10)",
    optimize=_warm_up,
)
RATES = tuple(rate(factor) for factor in (0.01, 0.1, 10.0, 100.0))

SINGLES: tuple[Change, ...] = (
    *(XAVIER, HE, ORTHOGONAL, LSUV),
    *(RELU, SWISH, TANH),
    *(BATCH_NORM, LAYER_NORM, SKIPS),
    *(INPUTS, ADAM, WARM_UP),
    *RATES,
)
