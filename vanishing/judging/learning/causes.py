"""Why a training does not learn: plain faults first, then settings, then the network's structure.

A fault that is plain is named before anything else, because it explains all that follows. Where
nothing is wrong with gradients and updates, the data are left.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vanishing.judging.learning.moment import Moment, last_row
from vanishing.judging.limits import Limit, Relation
from vanishing.judging.stream import gradient_through_time
from vanishing.judging.through_time import attenuation_through_time

if TYPE_CHECKING:
    import pandas as pd

_ADAPTIVE = ("Adam", "NAdam", "RAdam", "RMSprop", "Adagrad")  # how names of classes begin
_DECOUPLED = ("AdamW",)
_FIRST_STEPS = 5
_USUAL_EPSILON = 1e-6
_USUAL_DECAY, _USUAL_DECOUPLED_DECAY = 0.01, 0.1
_USUAL_MOMENTUM = 0.99  # and below
_NEAR = 0.1
_ORDINARY_LOSS = 3.0  # times the first one
_ORDINARY_STEP = 0.4  # ‖update‖ / ‖weights‖
_LEAST_SCALE = 0.6
_DEAD = 0.95
LAST_RESORT = "labels"  # the cause that is left where nothing else holds
_SPACING = {"bfloat16": 2.0**-7, "float16": 2.0**-10}  # from 1 to the next number


class Cause(NamedTuple):
    """What keeps a training from learning.

    Attributes:
        name: `vanishing`, `learning-rate`, `labels`, …: what causes are counted by.
        sentence: What is wrong, in a sentence.
        quantity: What was measured, in words.
        measured: Its value.
        limit: Beyond which it is a cause.
        layer: Where; None where it is in none, or in all.
    """

    name: str
    sentence: str
    quantity: str
    measured: float
    limit: Limit
    layer: str | None = None


Check = Callable[[Moment], Cause | None]


def find_cause(moment: Moment) -> Cause | None:
    """Return the first cause that holds, in the order of the module; None without one."""
    return next(find_all(moment), None)


def find_decisive(moment: Moment) -> Cause | None:
    """Return the first cause that no training survives, whatever its curves; None without one."""
    return next(_holding(_DECISIVE, moment), None)


def find_undoing(moment: Moment) -> Cause | None:
    """Return the first setting that will undo what is being learned; None without one."""
    return next(_holding(_UNDOING, moment), None)


def find_all(moment: Moment) -> Iterator[Cause]:
    """Yield all causes that hold, the plainest first."""
    return _holding(_CHECKS, moment)


def _holding(checks: Sequence[Check], moment: Moment) -> Iterator[Cause]:
    for check in checks:
        cause = check(moment)
        if cause is not None and cause.limit.holds(cause.measured):
            yield cause


def _nonfinite_inputs(moment: Moment) -> Cause | None:
    shares = moment.of_network("input", "fraction_nonfinite")
    return Cause(
        "non-finite",
        "The inputs hold NaN or infinity.",
        "share of NaN and infinity among the inputs",
        float(shares.max()),
        Limit(">", 0.0),
    )


def _sudden_nonfinite(moment: Moment) -> Cause | None:
    finite = np.isfinite(moment.losses)
    if finite.all() or not finite[0]:
        return None
    first = int(np.argmin(finite))
    ratios = moment.update_ratios
    before = ratios[ratios.index <= first]
    is_ordinary = moment.losses[:first].max() < _ORDINARY_LOSS * moment.losses[0]
    if not is_ordinary or not len(before) or before.max().max() > _ORDINARY_STEP:
        return None
    return Cause(
        "non-finite",
        "From one step to the next the loss is not finite, though loss and steps were ordinary:"
        " look for NaN in the data.",
        "step of the first loss that is not finite",
        float(first + 1),
        Limit(">", 1.0),
    )


def _kept_gradients(moment: Moment) -> Cause | None:
    return Cause(
        "accumulation",
        "Gradients are never reset: each step adds to those of all steps before.",
        "share of traced steps that begin with the gradients of the step before",
        float(moment.of_network("output", "gradient_kept").mean()),
        Limit(">=", 0.5),
    )


def _no_path(moment: Moment) -> Cause | None:
    without = moment.run.without_gradient()
    cut = without[without["gradient"].isin(["detached", "unused"])]
    matrices = {parameter["layer"] for parameter in moment.matrices}
    named = [layer for layer in cut["layer"] if layer in matrices] or list(cut["layer"])
    return Cause(
        "detached",
        "No path leads from the loss back to these layers: something is detached, or not used.",
        "layers that no gradient reaches",
        float(len(cut)),
        Limit(">", 0.0),
        named[-1] if named else None,
    )


def _frozen(moment: Moment) -> Cause | None:
    if "parameters" not in moment.run.tables:
        return None  # how many layers there are beside the frozen ones is not known
    without = moment.run.without_gradient()
    frozen = list(without.loc[without["gradient"] == "frozen", "layer"])
    count = max(1, moment.run.count_layers())
    return Cause(
        "frozen",
        "Layers are frozen, and those that are left do not suffice.",
        "share of the layers that are frozen",
        len(frozen) / count,
        Limit(">", 0.0),
        frozen[0] if len(frozen) == 1 else None,
    )


def _not_held(moment: Moment) -> Cause | None:
    free = [p for p in moment.run.parameters if p["optimizer"] is None and not p["frozen"]]
    return Cause(
        "not-held",
        "No optimizer holds these parameters: they never change.",
        "share of the parameters that no optimizer holds",
        len(free) / max(1, len(moment.run.parameters)),
        Limit(">", 0.0),
        free[0]["layer"] if free else None,
    )


def _loss_on_probabilities(moment: Moment) -> Cause | None:
    off = moment.of_network("output", "off_probabilities").dropna()[:_FIRST_STEPS]
    if not moment.is_softmax or not moment.scale < _LEAST_SCALE or not off.median() < _NEAR:
        return None  # labels that are no single class have a smaller scale too
    sentence = "The loss is given probabilities, and takes logits or their logarithms."
    # Of equal probabilities, 1 / classes each, the second softmax takes that share of the gradient.
    if moment.classes and abs(moment.scale * moment.classes - 1) < _NEAR:
        quantity = "dL/dz beside that of a cross-entropy: 1 / classes"
        return Cause("loss", sentence, quantity, moment.scale, Limit("<", _LEAST_SCALE))
    spreads = moment.of_network("output", "scale_spread").dropna()
    return Cause(
        "loss",
        sentence,
        "spread over examples of dL/dz beside that of a cross-entropy",
        float(spreads[:_FIRST_STEPS].median()),
        Limit(">", 0.2),
    )


def _summed_loss(moment: Moment) -> Cause | None:
    return Cause(
        "loss",
        "The loss is the sum over the batch, not its mean: gradients are as many times larger.",
        "dL/dz beside that of the mean cross-entropy",
        moment.scale,
        Limit(">", 4.0),
    )


def _order(moment: Moment) -> Cause | None:
    shares = moment.of_network("output", "largest_class").dropna()
    if not moment.is_softmax or len(shares) < _FIRST_STEPS:
        return None
    return Cause(
        "order",
        "Each batch has examples of one class: they come sorted by their label.",
        "share of the most frequent label of a batch",
        float(shares.median()),
        Limit(">=", 0.9),
    )


def _running_statistics(moment: Moment) -> Cause | None:
    used = moment.by_layer("running_statistics", "used").max()
    return Cause(
        "normalization",
        "A normalization takes its running statistics in training: it is in evaluation mode.",
        "share of traced steps with running statistics",
        float(used.max()),
        Limit(">=", 1.0),
        _argmax(used),
    )


def _statistics_never_updated(moment: Moment) -> Cause | None:
    momentum = moment.at_last("running_statistics", "momentum")
    return Cause(
        "normalization",
        "A normalization never updates its running statistics, which evaluation uses.",
        "momentum of the running statistics",
        float(momentum.min()),
        Limit("<", 1e-6),
        _argmin(momentum),
    )


def _large_inputs(moment: Moment) -> Cause | None:
    return Cause(
        "inputs",
        "The inputs are far larger than 1: they are not scaled.",
        "rms of the inputs",
        _first(moment.of_network("input", "rms")),
        Limit(">", 20.0),
    )


def _small_inputs(moment: Moment) -> Cause | None:
    return Cause(
        "inputs",
        "The inputs are far smaller than 1: they are scaled twice.",
        "rms of the inputs",
        _first(moment.of_network("input", "rms")),
        Limit("<", 0.02),
    )


def _offset_inputs(moment: Moment) -> Cause | None:
    mean, std = (_first(moment.of_network("input", s)) for s in ("mean", "std"))
    return Cause(
        "inputs",
        "The inputs are far from 0: they are not centred.",
        "mean of the inputs over their standard deviation",
        _ratio(abs(mean), std),
        Limit(">", 4.0),
    )


def _momentum(moment: Moment) -> Cause | None:
    return Cause(
        "momentum",
        "The momentum is so close to 1, or above, that steps add up.",
        "momentum",
        float(moment.settings.get("momentum", 0.0)),
        Limit(">", _USUAL_MOMENTUM),
    )


def _momentum_above_one(moment: Moment) -> Cause | None:
    cause = _momentum(moment)
    return cause and cause._replace(limit=Limit(">", 1.0))


def _is_normalized(moment: Moment) -> bool:
    """Tell whether there is a normalization, behind which weights may grow and compute the same."""
    return not moment.by_layer("running_statistics", "momentum").empty


def _adding_up(moment: Moment) -> Cause | None:
    """Gradients that are never reset are a momentum of 1: nothing stops the weights."""
    return None if _is_normalized(moment) else _kept_gradients(moment)


def _coasting(moment: Moment) -> Cause | None:
    """Return how far momentum alone would carry the weights: a step, times 1 / (1 - momentum)."""
    momentum = float(moment.settings.get("momentum", 0.0))
    # With a usual momentum it is the learning rate that is too large.
    if not _USUAL_MOMENTUM < momentum < 1 or _is_normalized(moment):
        return None
    return Cause(
        "momentum",
        "If the gradient were 0 from now on, momentum alone would carry the weights further than"
        " they are long.",
        "‖update‖ / ‖weights‖ over 1 - momentum, the median of layers",
        float(last_row(moment.update_ratios).median()) / (1 - momentum),
        Limit(">", 2.0),
    )


def _weight_decay(moment: Moment) -> Cause | None:
    decay = float(moment.settings.get("weight_decay", 0.0))
    decoupled = moment.optimizer in _DECOUPLED or moment.settings.get("decoupled_weight_decay")
    if decay <= (_USUAL_DECOUPLED_DECAY if decoupled else _USUAL_DECAY):
        return None  # where the gradient is below a usual decay, it has vanished
    if decoupled:
        decay *= _last(moment.rates)
        others = moment.at_last("update", "l2_norm")
    else:
        others = moment.at_last("weight_gradient", "l2_norm")
    ratios = decay * moment.at_last("weight", "l2_norm") / others
    return Cause(
        "weight-decay",
        "Weight decay is stronger than the gradient: it draws the weights to 0.",
        "weight decay over the gradient (decoupled: over the update), the median of layers",
        float(ratios.median()),
        Limit(">", 0.7),
    )


def _decayed(moment: Moment) -> Cause | None:
    cause = _weight_decay(moment)
    return cause and cause._replace(limit=Limit(">", 3.0))


def _epsilon(moment: Moment) -> Cause | None:
    epsilon = float(moment.settings.get("eps", 0.0))
    if not moment.optimizer.startswith(_ADAPTIVE) or epsilon < _USUAL_EPSILON:
        return None  # where the gradient is below a usual epsilon, it has vanished
    typical = float(moment.at_last("weight_gradient", "rms").median())
    return Cause(
        "epsilon",
        "The optimizer's epsilon is larger than the gradient, which it then does not rescale.",
        "epsilon over rms(dL/dW), the median of layers",
        _ratio(epsilon, typical),
        Limit(">", 10.0),
    )


def _clipping(moment: Moment) -> Cause | None:
    before = moment.steps.groupby("step")["norm_before_clipping"].max().dropna()
    trace = moment.run.gradients("l2_norm")
    after = trace.assign(square=trace["value"] ** 2).groupby("step")["square"].sum() ** 0.5
    ratios = (after / before).dropna()
    return Cause(
        "clipping",
        "Clipping takes most of the gradient away.",
        "norm of the gradient after clipping over that before, the median of traced steps",
        float(ratios.median()),
        Limit("<", 0.05),
    )


def _warm_up(moment: Moment) -> Cause | None:
    rates = moment.rates
    target = max(float(moment.settings.get(key) or 0.0) for key in ("lr", "initial_lr"))
    if len(rates) < _FIRST_STEPS or not rates.is_monotonic_increasing:
        return None
    return Cause(
        "warm-up",
        "The learning rate is still warming up.",
        "learning rate over the one that it rises to",
        _ratio(_last(rates), target),
        Limit("<", 0.3),
    )


def _exploded(moment: Moment) -> Cause | None:
    return Cause(
        "learning-rate",
        "Steps are as large as the weights: the learning rate is too large.",
        "largest ‖update‖ / ‖weights‖ of a step",
        float(moment.update_ratios.max().max()),
        Limit(">", _ORDINARY_STEP),
    )


def _dead_units(moment: Moment) -> Cause | None:
    first = moment.at_start("activation", "fraction_dead")  # later deaths have a cause
    dead = first[first >= _DEAD]
    return Cause(
        "dead-units",
        "The units of a layer are 0 for every example: nothing passes, and no gradient returns.",
        "share of dead units of a layer, at the start",
        float(first.max()),
        Limit(">=", _DEAD),
        str(dead.index[0]) if len(dead) else None,
    )


def _died_units(moment: Moment) -> Cause | None:
    last = moment.at_last("activation", "fraction_dead")
    return Cause(
        "learning-rate",
        "The units of a layer have died in training: steps were too large.",
        "share of dead units of a layer, at the last traced step",
        float(last.max()),
        Limit(">=", _DEAD),
        _argmax(last),
    )


def _equal_weights(moment: Moment) -> Cause | None:
    scales = _initial_stds(moment)
    layer = min(scales, key=scales.__getitem__, default=None)
    return Cause(
        "initialisation",
        "All weights of a layer begin with one value: its units stay alike.",
        "standard deviation of a layer's weights at the start",
        scales[layer] if layer else math.nan,
        Limit("<", 1e-12),
        None if len(scales) > 1 and max(scales.values()) == 0 else layer,
    )


def _scale_of_weights(relation: Relation, bound: float) -> Check:
    size, choose = ("large", max) if relation == ">" else ("small", min)

    def check(moment: Moment) -> Cause | None:
        gains = _gains(moment)
        beyond = [layer for layer, gain in gains.items() if Limit(relation, bound).holds(gain)]
        return Cause(
            "initialisation",
            f"Weights begin far too {size}.",
            "σ of a layer's weights at the start, times √fan-in",
            choose(gains.values(), default=math.nan),
            Limit(relation, bound),
            beyond[0] if len(beyond) == 1 else None,
        )

    return check


def _vanishing(moment: Moment) -> Cause | None:
    attenuation = moment.run.attenuation().set_index("layer")["value"].dropna()
    layer = _argmin(attenuation)
    return Cause(
        "vanishing",
        "The gradient vanishes on its way back to the first layers.",
        "rms(dL/dz) of a layer over that of the last one, at the start",
        float(attenuation.min()),
        Limit("<", 1e-3),
        layer,
    )


def _vanishing_through_time(moment: Moment) -> Cause | None:
    """Look at the last traced step: nearly every recurrent network begins with such a gradient."""
    if moment.step == 1:
        return None
    attenuation = attenuation_through_time(gradient_through_time(moment.run, at_end=True))
    # The state that carries most is the layer's: of an LSTM the cell.
    by_layer = attenuation.groupby("layer", sort=False)["attenuation"].max().dropna()
    return Cause(
        "vanishing",
        "The gradient vanishes on its way back to the first time steps.",
        "rms(dL/dh) of the first state over that of the last one, at the last traced step",
        float(by_layer.min()),
        Limit("<", 1e-3),
        _argmin(by_layer),
    )


def _exploding(moment: Moment) -> Cause | None:
    return Cause(
        "exploding",
        "The gradient explodes on its way back to the first layers.",
        "rms(dL/dz) of a layer over that of the last one, at the start",
        float(moment.run.attenuation()["value"].max()),
        Limit(">", 1e3),
    )


def _small_steps(moment: Moment) -> Cause | None:
    return Cause(
        "learning-rate",
        "Steps are tiny beside the weights: the learning rate is too small.",
        "largest ‖update‖ / ‖weights‖ of a layer, at the last traced step",
        float(last_row(moment.update_ratios).max()),
        Limit("<", 1e-3),
    )


def _rounding(moment: Moment) -> Cause | None:
    largest = last_row(moment.update_ratios)
    formats = {p["layer"]: p["dtype"] for p in _weights(moment) if p["dtype"] in _SPACING}
    shares = {
        layer: float(largest[layer]) / _SPACING[dtype]
        for layer, dtype in formats.items()
        if layer in largest.index
    }
    if not shares or len(shares) < len(largest):  # a layer of wider weights can learn
        return None
    names = " and ".join(sorted(set(formats.values())))
    return Cause(
        "precision",
        f"Weights are {names}, whose rounding swallows the steps: keep weights in float32.",
        "largest ‖update‖ / ‖weights‖ of a layer over the spacing of its numbers, at the last"
        " traced step",
        max(shares.values()),
        Limit("<", 0.25),
    )


def _data(moment: Moment) -> Cause | None:
    if moment.of_network("output", "dependence").empty:
        return None  # so much is not recorded that another cause may have gone unseen
    return Cause(
        LAST_RESORT,
        "Gradients arrive and weights move, but nothing is learned: look at labels and data.",
        "steps",
        float(moment.step),
        Limit(">=", 1.0),
    )


_CHECKS: tuple[Check, ...] = (
    _nonfinite_inputs,
    _sudden_nonfinite,
    _kept_gradients,
    _no_path,
    _not_held,
    _loss_on_probabilities,
    _summed_loss,
    _order,
    _running_statistics,
    _statistics_never_updated,
    _large_inputs,
    _small_inputs,
    _offset_inputs,
    _momentum,
    _weight_decay,
    _epsilon,
    _clipping,
    _warm_up,
    _equal_weights,
    _scale_of_weights(">", 4.0),
    _scale_of_weights("<", 0.1),
    _dead_units,
    _exploded,
    _died_units,
    _vanishing,
    _exploding,
    _rounding,
    _small_steps,
    _frozen,
    _vanishing_through_time,
    _data,
)


_DECISIVE = (_momentum_above_one, _order, _statistics_never_updated)
# Weights that decay shrink beside their steps, which looks like coasting.
_UNDOING = (_adding_up, _decayed, _coasting)


def _weights(moment: Moment) -> list[Mapping[str, Any]]:
    return [parameter for parameter in moment.matrices if "weight" in parameter["parameter"]]


def _largest_weights(moment: Moment) -> dict[str, Mapping[str, Any]]:
    """Return each layer's largest matrix or kernel, of those whose start is recorded."""
    stds = moment.run.record.get("initial_std", {})
    recorded = [parameter for parameter in _weights(moment) if parameter["name"] in stds]
    by_size = sorted(recorded, key=lambda parameter: math.prod(parameter["shape"]))
    return {parameter["layer"]: parameter for parameter in by_size}


def _initial_stds(moment: Moment) -> dict[str, float]:
    """Return the standard deviation at the start of each layer's largest matrix or kernel."""
    stds: Mapping[str, float] = moment.run.record.get("initial_std", {})
    largest = _largest_weights(moment)
    return {layer: stds[parameter["name"]] for layer, parameter in largest.items()}


def _gains(moment: Moment) -> dict[str, float]:
    """Return σ · √fan-in of each layer's weights at the start, without those that are all equal."""
    largest = _largest_weights(moment)
    fans = {layer: math.prod(parameter["shape"][1:]) for layer, parameter in largest.items()}
    stds = _initial_stds(moment)
    return {layer: std * math.sqrt(fans[layer]) for layer, std in stds.items() if std > 0}


def _argmax(values: "pd.Series[float]") -> str | None:
    return str(values.idxmax()) if values.notna().any() else None


def _argmin(values: "pd.Series[float]") -> str | None:
    return str(values.idxmin()) if values.notna().any() else None


def _first(values: "pd.Series[float]") -> float:
    return float(values.iloc[0]) if len(values) else math.nan


def _last(values: "pd.Series[float]") -> float:
    return float(values.iloc[-1]) if len(values) else math.nan


def _ratio(numerator: float, denominator: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(numerator) / np.float64(denominator))
