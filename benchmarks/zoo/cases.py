"""The cases of the zoo: healthy networks, and each with one fault.

What a case is meant to be, its fault, cause and tags, is documentation. Its truth is in `truth`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.zoo.alterations import Alteration

CAUSES = frozenset(
    {
        "accumulation",
        "activation",
        "clipping",
        "dead-units",
        "depth",
        "detached",
        "epsilon",
        "frozen",
        "initialisation",
        "inputs",
        "labels",
        "learning-rate",
        "loss",
        "momentum",
        "non-finite",
        "normalization",
        "order",
        "warm-up",
        "weight-decay",
    }
)
_DOCUMENTATION = frozenset({"name", "twin", "fault", "cause", "layer", "tags"})
TAGS = frozenset({"late", "slow", "suspicious", "diverging"})  # as a case is meant


@dataclass(frozen=True)
class Case:
    """A training: 500 steps of batch 64 where nothing else is said.

    Attributes:
        name: Unique: that of the family, and of the fault after a plus.
        dataset: A name of data.load.
        network: A key of networks.NETWORKS.
        arguments: Of its builder.
        optimizer: A key of training's optimizers.
        settings: Of the optimizer, in PyTorch's words; `lr` is one.
        warm_up: Steps over which the learning rate rises to its value, linearly.
        loss: A key of training's losses.
        clip: The largest norm of the gradient of all parameters together; None without.
        pretraining: Steps on another task before the training.
        defect: A key of data.DEFECTS; None for the examples as they are.
        alterations: Of the network before its training.
        zero_grad: Whether gradients are reset before each step.
        sorted: Whether the examples come in the order of their labels.
        twin: Name of the case without the fault; of a healthy case the dataset's reference.
        fault: Name of the one thing that is wrong; None for a healthy case.
        cause: One of CAUSES; None for a healthy case.
        layer: Name of the module with the fault; None where it is in none, or in all.
        tags: Some of TAGS.
    """

    name: str
    dataset: str
    network: str
    arguments: Mapping[str, Any]
    optimizer: str
    settings: Mapping[str, Any]
    warm_up: int = 0
    loss: str = "cross-entropy"
    clip: float | None = None
    pretraining: int = 0
    defect: str | None = None
    alterations: tuple[Alteration, ...] = ()
    zero_grad: bool = True
    sorted: bool = False
    twin: str = ""
    fault: str | None = None
    cause: str | None = None
    layer: str | None = None
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def recipe(self) -> dict[str, Any]:
        """All that decides the numbers of its training, without names and documentation."""
        return {key: value for key, value in asdict(self).items() if key not in _DOCUMENTATION}

    @property
    def family(self) -> str:
        """Name of the healthy base."""
        return self.name.partition("+")[0]


# Optimizers by the name that a case's name has.
_OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "adam": ("adam", {"lr": 1e-3}),
    "adamw": ("adamw", {"lr": 1e-3, "weight_decay": 0.01}),
    "rmsprop": ("rmsprop", {"lr": 1e-3}),
    "adagrad": ("adagrad", {"lr": 0.01}),
    "sgd": ("sgd", {"lr": 0.1}),
    "momentum": ("sgd", {"lr": 0.05, "momentum": 0.9}),
}
_ADAPTIVE = frozenset({"adam", "adamw", "rmsprop"})  # their step is about the learning rate


def reference(dataset: str) -> str:
    """Return the name of a dataset's reference: a one-hidden-layer ReLU network under Adam."""
    return f"{dataset}-mlp-relu-1-adam"


def _base(
    dataset: str, label: str, network: str, arguments: Mapping[str, Any], optimizer: str
) -> Case:
    """Return a healthy case; `label` describes the network in the name."""
    kind, settings = _OPTIMIZERS[optimizer]
    return Case(
        name=f"{dataset}-{label}-{optimizer}",
        dataset=dataset,
        network=network,
        arguments=arguments,
        optimizer=kind,
        settings=settings,
        twin=reference(dataset),
    )


def _mlps(
    dataset: str, kinds: Mapping[str, tuple[int, ...]], optimizers: tuple[str, ...]
) -> list[Case]:
    """Return multilayer perceptrons of width 64, of {activation: depths}."""
    return [
        _mlp(dataset, activation, depth, optimizer)
        for activation, depths in kinds.items()
        for depth in depths
        for optimizer in optimizers
    ]


def _mlp(dataset: str, activation: str, depth: int, optimizer: str, **other: Any) -> Case:
    """Return a multilayer perceptron; `other` arguments stand in its name."""
    arguments = {"depth": depth, "width": 64, "activation": activation} | other
    words = {"width": "w{}", "norm": "{}norm", "bottleneck": "narrow{}"}
    label = "-".join(
        ["mlp", activation, str(depth), *(words[key].format(other[key]) for key in other)]
    )
    return _base(dataset, label, "mlp", arguments, optimizer)


def _residual(
    dataset: str, arrangement: str, blocks: int, optimizer: str, activation: str = "relu"
) -> Case:
    arguments = {
        "blocks": blocks,
        "width": 64,
        "activation": activation,
        "arrangement": arrangement,
    }
    label = f"residual-{arrangement}-{activation}-{blocks}"
    return _base(dataset, label, "residual-mlp", arguments, optimizer)


def _lenet(dataset: str, activation: str, optimizer: str, norm: str | None = None) -> Case:
    arguments = {"channels": 6, "width": 64, "activation": activation, "norm": norm}
    label = f"lenet-{activation}" + (f"-{norm}norm" if norm else "")
    return _base(dataset, label, "lenet", arguments, optimizer)


def _conv(dataset: str, arrangement: str, blocks: int, optimizer: str) -> Case:
    arguments = {"blocks": blocks, "channels": 8, "arrangement": arrangement}
    label = f"resnet-{arrangement}-{blocks}"
    return _base(dataset, label, "residual-conv", arguments, optimizer)


def _recurrent(dataset: str, kind: str, width: int, optimizer: str) -> Case:
    arguments = {"kind": kind, "width": width}
    return _base(dataset, f"{kind}-w{width}", "recurrent", arguments, optimizer)


def _transformer(dataset: str, pre: bool, layers: int, optimizer: str) -> Case:
    arguments = {"layers": layers, "width": 32, "pre": pre}
    label = f"transformer-{'pre' if pre else 'post'}-{layers}"
    return _base(dataset, label, "transformer", arguments, optimizer)


def _varied(base: Case, word: str, tag: str = "suspicious", **changes: Any) -> Case:
    """Return another healthy case, a family of its own: `word` stands in its name."""
    return replace(base, name=f"{base.name}-{word}", tags=base.tags | {tag}, **changes)


def _at(base: Case, rate: float) -> Mapping[str, Any]:
    """Return the optimizer's settings with another learning rate."""
    return {**base.settings, "lr": rate}


def _plain_bases() -> list[Case]:
    """Return the MNIST cases that are healthy and look it."""
    d, both = "mnist", ("adam", "momentum")
    cases = _mlps(d, {"relu": (1, 2, 4, 6), "tanh": (1, 2, 4, 6), "gelu": (1, 2, 4)}, both)
    cases += [_mlp(d, "relu", 2, name) for name in ("sgd", "adamw", "rmsprop", "adagrad")]
    cases += [_mlp(d, "tanh", 2, name) for name in ("sgd", "adamw", "rmsprop", "adagrad")]
    for activation in ("relu", "tanh"):
        cases += [_mlp(d, activation, 3, "adam", width=width) for width in (32, 128)]
    for optimizer in both:
        cases += [_mlp(d, "relu", depth, optimizer, norm="batch") for depth in (3, 6, 10)]
        cases += [_mlp(d, "relu", depth, optimizer, norm="layer") for depth in (3, 6)]
        cases += [_mlp(d, "tanh", 6, optimizer, norm="batch")]
        cases += [_residual(d, "plain", blocks, optimizer) for blocks in (2, 4)]
        cases += [_residual(d, "pre", blocks, optimizer) for blocks in (4, 8)]
        cases += [_residual(d, "post", blocks, optimizer) for blocks in (2, 4)]
        cases += [_residual(d, "batch", 4, optimizer), _residual(d, "plain", 3, optimizer, "tanh")]
        cases += [_lenet(d, activation, optimizer) for activation in ("relu", "tanh", "gelu")]
        cases += [_lenet(d, "relu", optimizer, "batch"), _conv(d, "plain", 2, optimizer)]
        cases += [_conv(d, "batch", 2, optimizer)]
    for kind in ("rnn", "gru", "lstm"):
        cases += [_recurrent(d, kind, width, "adam") for width in (32, 64)]
    for pre in (True, False):
        cases += [_transformer(d, pre, layers, "adam") for layers in (1, 2)]
    return cases


def _suspicious_bases() -> list[Case]:
    """Return the MNIST cases that are healthy and look as if they were not."""
    d = "mnist"
    cases = [
        replace(case, tags=frozenset({"suspicious"}))
        for case in (
            *_mlps(d, {"sigmoid": (1, 2)}, ("adam", "momentum", "rmsprop")),
            *(_residual(d, "zero", n, name) for n in (2, 4, 8) for name in ("adam", "momentum")),
            *(_conv(d, "zero", 2, name) for name in ("adam", "momentum")),
            *(_mlp(d, a, 2, "adam", bottleneck=n) for a in ("relu", "tanh") for n in (6, 10)),
            _mlp(d, "sigmoid", 4, "adam", norm="batch"),
            _mlp(d, "sigmoid", 4, "adam", norm="layer"),
            _lenet(d, "sigmoid", "adam"),
        )
    ]
    usual = [_mlp(d, "relu", 2, "adam"), _mlp(d, "tanh", 4, "momentum"), _lenet(d, "relu", "adam")]
    usual += [_residual(d, "pre", 4, "adam"), _recurrent(d, "gru", 32, "adam")]
    for case in usual:
        cases.append(_varied(case, "smoothed", loss="smoothed"))
        cases.append(_varied(case, "warm-up-100", warm_up=100))
        cases.append(_varied(case, "clipped", clip=1.0))
    tuned = [_mlp(d, a, 2, "adam", width=128) for a in ("relu", "tanh")]
    tuned += [_mlp(d, "relu", 3, "momentum"), _lenet(d, "relu", "adam")]
    tuned += [_lenet(d, "relu", "momentum"), _recurrent(d, "gru", 64, "adam")]
    for case in tuned:
        change = Alteration("freeze-but-head")
        cases.append(_varied(case, "tuned", pretraining=300, alterations=(change,)))
    return cases


def _late_bases() -> list[Case]:
    """Return the MNIST cases whose loss is meant to stay flat for a while, and then to fall."""
    return [*_slow_to_begin(), *_warmed_up(), *_small_weights()]


def _slow_to_begin() -> list[Case]:
    """Return deep, saturated or recurrent networks at learning rates that suit them."""
    d = "mnist"
    sigmoid = (("adam", 1e-3), ("adam", 3e-3), ("momentum", 0.2), ("sgd", 1.0))
    pairs = [
        (_mlp(d, "sigmoid", depth, optimizer, width=128), rate)
        for depth in (2, 3, 4)
        for optimizer, rate in sigmoid
    ]
    pairs += [
        (_mlp(d, activation, depth, "adam"), rate)
        for activation in ("tanh", "relu", "gelu")
        for depth in (8, 10, 12)
        for rate in (3e-4, 1e-3)
    ]
    pairs += [(_recurrent(d, kind, 32, "adam"), 3e-4) for kind in ("rnn", "lstm", "gru")]
    return [
        _varied(base, f"rate-{rate:g}", "late", settings=_at(base, rate)) for base, rate in pairs
    ]


def _warmed_up() -> list[Case]:
    d = "mnist"
    bases = [_mlp(d, "relu", 6, "adam"), _mlp(d, "tanh", 6, "momentum")]
    bases += [_lenet(d, "tanh", "momentum"), _transformer(d, False, 1, "adam")]
    return [
        _varied(base, f"warm-up-{steps}", "late", warm_up=steps)
        for steps in (200, 300)
        for base in bases
    ]


def _small_weights() -> list[Case]:
    d = "mnist"
    bases = [_mlp(d, "relu", 4, "adam"), _mlp(d, "tanh", 6, "adam"), _lenet(d, "relu", "adam")]
    return [
        _varied(
            base, f"weights-{factor:g}", "late", alterations=(Alteration("scale", value=factor),)
        )
        for base in bases
        for factor in (0.3, 0.1)
    ]


def _digits_bases() -> list[Case]:
    """Return the healthy cases of scikit-learn's digits."""
    d = "digits"
    sigmoid = _mlp(d, "sigmoid", 2, "adam", width=128)
    zero = _residual(d, "zero", 4, "adam")
    return [
        _mlp(d, "relu", 1, "adam"),
        _mlp(d, "relu", 4, "adam"),
        _mlp(d, "relu", 4, "momentum"),
        _mlp(d, "tanh", 4, "adam"),
        _mlp(d, "tanh", 2, "momentum"),
        _mlp(d, "gelu", 2, "adamw"),
        _mlp(d, "relu", 6, "adam", norm="batch"),
        _residual(d, "pre", 4, "momentum"),
        _lenet(d, "relu", "adam"),
        _conv(d, "batch", 2, "momentum"),
        _recurrent(d, "gru", 32, "adam"),
        _recurrent(d, "lstm", 32, "adam"),
        _transformer(d, True, 1, "adam"),
        replace(zero, tags=frozenset({"suspicious"})),
        _varied(sigmoid, "rate-0.003", "late", settings=_at(sigmoid, 3e-3)),
        _varied(_mlp(d, "tanh", 8, "adam"), "deep", "late"),
        _varied(_mlp(d, "relu", 8, "adam"), "deep", "late"),
        _varied(_mlp(d, "relu", 2, "adam"), "smoothed", loss="smoothed"),
    ]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and the bases that can have it.

    Attributes:
        name: Stands in the name of a case.
        cause: One of CAUSES.
        change: Makes the sick case of a base: the fields that differ.
        suits: Whether a base can have it.
        count: How many MNIST bases get it, at even distances.
        layer: Finds the name of the module of a base that has the fault; None for all or none.
        tag: One of TAGS; empty for none.
    """

    name: str
    cause: str
    change: Callable[[Case], Mapping[str, Any]]
    suits: Callable[[Case], bool] = lambda _base: True
    count: int = 8
    layer: Callable[[Case], str] | None = None
    tag: str = ""

    def inflict(self, base: Case) -> Case:
        """Return the case of the base with this fault."""
        return replace(
            base,
            name=f"{base.name}+{self.name}",
            twin=base.name,
            fault=self.name,
            cause=self.cause,
            layer=self.layer(base) if self.layer else None,
            tags=frozenset({self.tag} - {""}),
            **self.change(base),
        )


def _is_mlp(base: Case) -> bool:
    return base.network == "mlp" and not base.arguments.get("norm")


def _is_deep(base: Case) -> bool:
    return _is_mlp(base) and base.arguments["depth"] >= 4  # noqa: PLR2004 - where it matters


def _has_batch_norm(base: Case) -> bool:
    return "batch" in {base.arguments.get("norm"), base.arguments.get("arrangement")}


def _has_relu(base: Case) -> bool:
    return base.arguments.get("activation") == "relu" and (_is_mlp(base) or base.network == "lenet")


def _is_adaptive(base: Case) -> bool:
    return base.optimizer in _ADAPTIVE


def _is_sgd(base: Case) -> bool:
    return base.optimizer == "sgd"


def _has_momentum(base: Case) -> bool:
    return "momentum" in base.settings


def _first(base: Case) -> str:
    """Return the name of the first layer with weights."""
    names = {"mlp": "hidden1", "lenet": "conv1", "recurrent": "rnn"}
    return names.get(base.network, "stem")


def _middle(base: Case) -> str:
    """Return the name of a layer in the middle: of a residual network the branch's second one."""
    match base.network:
        case "mlp":
            return f"hidden{(base.arguments['depth'] + 1) // 2}"
        case "lenet":
            return "conv2"
        case "recurrent":
            return "rnn"
        case "transformer":
            return "block1.linear2"
        case _:
            return "block1.outer"


def _last(base: Case) -> str:
    """Return the name of the last part before the head."""
    match base.network:
        case "mlp":
            return f"hidden{base.arguments['depth']}"
        case "lenet":
            return "hidden"
        case "recurrent":
            return "rnn"
        case "transformer":
            return f"block{base.arguments['layers']}"
        case _:
            return f"block{base.arguments['blocks']}"


def _head(_base: Case) -> str:
    return "head"


def _settings(**factors: float) -> Callable[[Case], Mapping[str, Any]]:
    """Multiply settings of the optimizer."""

    def change(base: Case) -> Mapping[str, Any]:
        scaled = {key: base.settings[key] * factor for key, factor in factors.items()}
        return {"settings": {**base.settings, **scaled}}

    return change


def _with_settings(**values: float) -> Callable[[Case], Mapping[str, Any]]:
    return lambda base: {"settings": {**base.settings, **values}}


def _with_arguments(**values: Any) -> Callable[[Case], Mapping[str, Any]]:
    return lambda base: {"arguments": {**base.arguments, **values}}


def _with(**fields: Any) -> Callable[[Case], Mapping[str, Any]]:
    return lambda _base: fields


def _altered(
    kind: str, value: float = 0.0, layer: Callable[[Case], str] = lambda _base: ""
) -> Callable[[Case], Mapping[str, Any]]:
    """Add an alteration of the whole network, or of one module."""
    return lambda base: {"alterations": (*base.alterations, Alteration(kind, layer(base), value))}


def _in(
    layer: Callable[[Case], str], name: str, cause: str, kind: str, value: float, count: int
) -> Fault:
    """Return a fault in one module: an alteration of it."""
    return Fault(name, cause, _altered(kind, value, layer), count=count, layer=layer)


FAULTS = (
    Fault("deep-sigmoid", "depth", _with_arguments(depth=10, activation="sigmoid"), _is_mlp, 12),
    Fault("depth-24", "depth", _with_arguments(depth=24), _is_mlp, 10),
    Fault("sigmoid", "activation", _with_arguments(activation="sigmoid"), _is_deep, 7),
    Fault("weights-0.01", "initialisation", _altered("scale", 0.01), count=10),
    Fault("weights-10", "initialisation", _altered("scale", 10.0), count=12),
    Fault("weights-constant", "initialisation", _altered("fill", 0.01), _is_mlp, 8),
    _in(_middle, "layer-weights-0.001", "initialisation", "scale", 1e-3, 10),
    _in(_head, "head-weights-100", "initialisation", "scale", 100.0, 10),
    Fault("rate-1e-5-fold", "learning-rate", _settings(lr=1e-5), count=10),
    Fault("rate-1000-fold", "learning-rate", _settings(lr=1e3), count=10, tag="diverging"),
    Fault("rate-30-fold", "learning-rate", _settings(lr=30), count=12, tag="diverging"),
    Fault("rate-a-tenth", "learning-rate", _settings(lr=0.1), count=14, tag="slow"),
    Fault("rate-a-30th", "learning-rate", _settings(lr=1 / 30), count=14, tag="slow"),
    Fault("rate-a-100th", "learning-rate", _settings(lr=0.01), count=14, tag="slow"),
    Fault("epsilon-0.1", "epsilon", _with_settings(eps=0.1), _is_adaptive, 8, tag="slow"),
    Fault("warm-up-5000", "warm-up", _with(warm_up=5_000), count=6, tag="slow"),
    Fault("clipped-0.001", "clipping", _with(clip=1e-3), _is_sgd, 8),
    Fault("unscaled-inputs", "inputs", _with(defect="unscaled"), count=14),
    Fault("offset-inputs", "inputs", _with(defect="offset"), count=10),
    Fault("inputs-scaled-twice", "inputs", _with(defect="scaled-twice"), count=8),
    _in(_middle, "detached", "detached", "detach", 0.0, 12),
    _in(_last, "detached-below-head", "detached", "detach", 0.0, 8),
    _in(_first, "frozen-first", "frozen", "freeze", 0.0, 8),
    _in(_head, "frozen-head", "frozen", "freeze", 0.0, 8),
    Fault("frozen-but-head", "frozen", _altered("freeze-but-head"), count=10),
    Fault("dead-relu", "dead-units", _altered("bias", -10.0, _first), _has_relu, 10, _first),
    Fault("dead-relu-last", "dead-units", _altered("bias", -10.0, _last), _has_relu, 8, _last),
    Fault("double-softmax", "loss", _with(loss="double-softmax"), count=12),
    Fault("summed-loss", "loss", _with(loss="summed"), count=12),
    Fault("no-zero-grad", "accumulation", _with(zero_grad=False), count=12),
    Fault("nan-in-data", "non-finite", _with(defect="nan"), count=8),
    Fault("statistics-frozen", "normalization", _altered("keep-statistics"), _has_batch_norm, 6),
    Fault(
        "statistics-mistaken",
        "normalization",
        _altered("mistake-statistics", 100.0),
        _has_batch_norm,
        6,
    ),
    Fault(
        "statistics-forgotten", "normalization", _altered("forget-statistics"), _has_batch_norm, 6
    ),
    Fault("sorted-labels", "order", _with(sorted=True), count=10),
    Fault("shuffled-labels", "labels", _with(defect="shuffled-labels"), count=8),
    Fault("half-shuffled-labels", "labels", _with(defect="half-shuffled-labels"), count=6),
    Fault("misaligned-labels", "labels", _with(defect="misaligned-labels"), count=6),
    Fault(
        "momentum-1.01",
        "momentum",
        _with_settings(momentum=1.01),
        _has_momentum,
        8,
        tag="diverging",
    ),
    Fault(
        "momentum-0.999",
        "momentum",
        _with_settings(momentum=0.999),
        _has_momentum,
        6,
        tag="diverging",
    ),
    Fault("weight-decay", "weight-decay", _with_settings(weight_decay=1.0), count=8),
)
_FAULTS_OF_DIGITS = 63


def spread(bases: list[Case], count: int, start: int) -> list[Case]:
    """Choose `count` bases at even distances, beginning anywhere; all where there are fewer."""
    if count >= len(bases):
        return bases
    return [bases[(start + number * len(bases) // count) % len(bases)] for number in range(count)]


def _generate() -> tuple[Case, ...]:
    plain, suspicious, late = _plain_bases(), _suspicious_bases(), _late_bases()
    cases = [*plain, *suspicious, *late]
    for number, fault in enumerate(FAULTS):
        suitable = [base for base in plain if fault.suits(base)]
        cases += [fault.inflict(base) for base in spread(suitable, fault.count, 7 * number)]
    digits = _digits_bases()
    cases += digits
    pairs = [
        (fault, suitable[(5 * number + turn * len(suitable) // 2) % len(suitable)])
        for turn in range(2)
        for number, fault in enumerate(FAULTS)
        if len(suitable := [base for base in digits if not base.tags and fault.suits(base)]) > turn
    ]
    cases += [fault.inflict(base) for fault, base in pairs[:_FAULTS_OF_DIGITS]]
    return tuple(without_repetitions(cases))


def without_repetitions(cases: list[Case]) -> list[Case]:
    """Leave out what trains like an earlier case, which may be in the other half."""
    # Two bases that differ in depth alone become one network where the fault is another depth.
    recipes = [case.recipe for case in cases]
    return [case for number, case in enumerate(cases) if case.recipe not in recipes[:number]]


CASES = _generate()
