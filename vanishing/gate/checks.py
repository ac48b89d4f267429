"""What any network that trains does on one batch, as checks of its short trainings.

In: trials, of which the first was trained for some steps, and the others for none. Out: failures
without their places, the gravest first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd

from vanishing.errors import name_first
from vanishing.gate.failures import Failure
from vanishing.gate.trials import Trial
from vanishing.judging.runs import Run
from vanishing.judging.stream import gradient_along_stream
from vanishing.results.tables import select

_NO_DEPENDENCE = 1e-9  # of outputs that differ by rounding, float32, 1e-14 is usual
_CLEAR_DEPENDENCE = 1e-2
_INVARIANT = 1e-5  # relative change of a loss, which rounding explains
_LAST_LOSSES = 5  # are averaged: dropout makes single ones noisy
_SMALL_STEP, _LARGE_STEP = 1e-5, 0.1  # ‖update‖ / ‖values‖: usual is about a thousandth

_FORWARD = ("input", "preactivation", "activation")  # tensors of the trace
_NO_GRADIENT = {
    "detached": (
        "no path leads from the loss to it, though it was called: its output was detached, by"
        " `detach`, `no_grad`, `.data`, an integer or NumPy"
    ),
    "unused": "the forward pass does not use it; remove it, or use it",
    "absent": "no gradient came to it",
}


@dataclass(frozen=True)
class Bounds:
    """Where the checks turn.

    Attributes:
        fall: The share of the first loss by which the loss falls at least.
        gain: The share of the loss that examples with each other's outputs would have, by which
            the loss is lower, at least.
        attenuation: The least and the largest rms(dL/dh) of a block over that of the last one.
        dead: The share of dead units in a layer from which on it counts as dead.
    """

    fall: float
    gain: float
    attenuation: tuple[float, float]
    dead: float


def find_failures(trials: Sequence[Trial], bounds: Bounds) -> list[Failure]:
    """Apply every check, the gravest first.

    Args:
        trials: The first was trained; the others give attenuations at initialisation.
        bounds: Where the checks turn.

    Returns:
        The failures.
    """
    first = trials[0]
    if first.run is None:
        return [_no_path(first)]
    checks = (
        _nonfinite(first, first.run),
        _unreached(first, first.run),
        _dead_units(first.run, bounds),
        _zero_gradient(first.run),
        _dependence(first),
        _attenuation(trials, bounds),
        _gain(first, bounds),
        _fall(first, first.run, bounds),
    )
    return [failure for failures in checks for failure in failures]


def find_mentions(trial: Trial) -> list[str]:
    """Return what is no failure and may be a mistake: parameters that are frozen."""
    frozen = [name for name, p in trial.model.named_parameters() if not p.requires_grad]
    if not frozen:
        return []
    return [f"{len(frozen)} parameters have requires_grad=False: {name_first(frozen)}"]


def _no_path(trial: Trial) -> Failure:
    """Describe a network of which nothing learns."""
    parameters = list(trial.model.parameters())
    learning = [p for p in parameters if p.requires_grad]
    if learning:
        reason = (
            "The loss depends on no parameter: something on the way was detached, by `detach`,"
            " `no_grad`, `.data`, `argmax`, an integer or NumPy."
        )
    elif parameters:
        reason = "All have requires_grad=False: nothing is left that learns."
    else:
        reason = "The network has no parameters."
    return Failure("connected", "", "0 parameters get a gradient", "at least 1", reason)


def _nonfinite(trial: Trial, run: Run) -> Iterator[Failure]:
    bad_losses = [step for step, loss in enumerate(trial.losses, 1) if not math.isfinite(loss)]
    shares = run.gradients("fraction_nonfinite")
    bad = shares[shares["value"] > 0]
    if not bad_losses and not len(bad):
        return
    steps = [*bad_losses[:1], *bad["step"].tolist()]
    measured = (
        f"{len(bad_losses)} of {len(trial.losses)} losses are NaN or infinite, from step"
        f" {bad_losses[0]} on"
        if bad_losses
        else f"{bad['value'].max():.0%} of a gradient is NaN or infinite"
    )
    layer, reason = _origin(run.tables["trace"], min(steps))
    yield Failure("finite", layer, measured, "none", reason)


def _origin(trace: pd.DataFrame, step: int) -> tuple[str, str]:
    """Say where NaN or infinity comes first: a layer, and a sentence."""
    shares = trace[(trace["statistic"] == "fraction_nonfinite") & (trace["value"] > 0)]
    forward = shares[shares["tensor"].isin(_FORWARD)]
    if len(forward):
        first = forward[forward["step"] == forward["step"].min()]
        if (first["tensor"] == "input").any():
            return "", "The inputs of the batch have NaN or infinity themselves."
        positions = select(trace, str(first["tensor"].iloc[0]), "position")
        merged = first.merge(
            positions[["step", "layer", "value"]], on=["step", "layer"], suffixes=("", "_position")
        )
        row = (merged if len(merged) else first).sort_values(
            "value_position" if len(merged) else "layer_index", kind="stable"
        )
        return _module(row["layer"].iloc[0]), (
            f"At step {first['step'].iloc[0]} it is the first whose output has NaN or infinity."
            " Before the first step that is its operation or its input; later, values that grew:"
            " the learning rate may be too large."
        )
    if len(shares):
        row = shares.sort_values(["step", "layer_index"], kind="stable")
        return _module(row["layer"].iloc[-1]), "Outputs are finite, gradients are not."
    return "", f"It began at step {step}, after finite ones: the learning rate may be too large."


def _unreached(trial: Trial, run: Run) -> Iterator[Failure]:
    """Tell apart why a parameter gets no gradient, or no step."""
    if trial.not_held:
        count = _count(trial.not_held)
        reason = f"No step changes it: {name_first(trial.not_held)}."
        yield Failure("connected", trial.not_held[0], f"{count} not in the optimizer", "0", reason)
    for state, reason in _NO_GRADIENT.items():
        names = _stuck(run.tables["parameters"], state)
        if names:
            measured = f"{_count(names)} without a gradient ({state})"
            yield Failure("connected", names[0], measured, "0", f"{name_first(names)}: {reason}.")


def _zero_gradient(run: Run) -> Iterator[Failure]:
    names = _stuck(run.tables["parameters"], "zero")
    if names:
        measured = f"{_count(names)} with a gradient of exactly 0 at every traced step"
        reason = (
            f"{name_first(names)}: a path leads from the loss to it, through units that are dead,"
            " a factor of 0 that does not change, or values that underflow."
        )
        yield Failure("connected", names[0], measured, "0", reason)


def _count(names: Sequence[str]) -> str:
    return "1 parameter" if len(names) == 1 else f"{len(names)} parameters"


def _stuck(states: pd.DataFrame, state: str) -> list[str]:
    """Return the parameters whose gradient was never present, and at last was in a state.

    Of a gradient of 0 only where no parameter of the layer had another: the bias of a
    normalization's predecessor or of attention's keys has none by design.
    """
    last = states[states["step"] == states["step"].max()]
    present = states[states["gradient"] == "present"]
    by_design = set(present["layer"]) if state == "zero" else set()
    names = set(zip(present["layer"], present["parameter"], strict=True))
    rows = last[last["gradient"] == state].sort_values("layer_index", kind="stable")
    return [
        f"{layer}.{parameter}".removeprefix(".")
        for layer, parameter in zip(rows["layer"], rows["parameter"], strict=True)
        if (layer, parameter) not in names and layer not in by_design
    ]


def _dead_units(run: Run, bounds: Bounds) -> Iterator[Failure]:
    shares = select(run.tables["trace"], "activation", "fraction_dead")
    last = shares[shares["step"] == shares["step"].max()]
    dead = last[last["value"] >= bounds.dead].sort_values("layer_index", kind="stable")
    if len(dead):
        layers = [_module(layer) for layer in dead["layer"]]
        yield Failure(
            "dead units",
            layers[0],
            f"{dead['value'].iloc[0]:.0%} of its units give 0 for every example",
            f"below {bounds.dead:.0%}",
            f"No gradient passes through a unit whose activation is 0 for all: {name_first(layers)}"
            " at the last step. Biases far below 0, or a step that was too large, leave them so.",
        )


def _dependence(trial: Trial) -> Iterator[Failure]:
    before, after = trial.before, trial.after
    if after is None or before is None or not after.dependence <= _NO_DEPENDENCE:
        return
    was = f"before the first step it was {before.dependence:.1e}"
    yield Failure(
        "dependence",
        "",
        f"{after.dependence:.1e} of the outputs' size depends on the input",
        f"above {_NO_DEPENDENCE:.0e}",
        f"After training all examples get the same output; {was}. The input is lost on the way:"
        " dead or saturated units, weights that are too small, or a learning rate too large.",
    )


def _attenuation(trials: Sequence[Trial], bounds: Bounds) -> Iterator[Failure]:
    """Hold the gradient along the stream at initialisation, the median of seeds, to bounds."""
    streams = [gradient_along_stream(trial.run) for trial in trials if trial.run is not None]
    relative = [
        stream.assign(rms=stream["rms"] / stream["rms"].iloc[-1])
        for stream in streams
        if len(stream) > 1 and stream["rms"].iloc[-1] > 0
    ]
    if not relative:
        return
    # A gradient of exactly 0 is no attenuation: behind a factor of 0 it may come at the next step.
    present = pd.concat([stream[stream["rms"] > 0] for stream in relative])
    blocks = present.groupby("block", sort=False)["rms"].median()
    low, high = bounds.attenuation
    furthest = {"vanishes": blocks.idxmin(), "explodes": blocks.idxmax()}
    for verb, is_beyond in (("vanishes", blocks.min() < low), ("explodes", blocks.max() > high)):
        if is_beyond:
            block = str(furthest[verb])
            place = list(blocks.index).index(block)
            depth = len(blocks) - 1 - place
            factor = float(blocks[block])
            culprit = _culprit(blocks, place, factor)
            yield Failure(
                "attenuation",
                _module(culprit or block),
                f"rms(dL/dh) of {block} over that of {blocks.index[-1]} is {factor:.1e}",
                f"between {low:.0e} and {high:.0e}",
                f"At initialisation, the median of {len(relative)} seeds, the gradient {verb} on"
                f" its way back through {depth} blocks, by {factor ** (1 / max(1, depth)):.2g} per"
                " block" + (f"; most of it within {culprit}." if culprit else "."),
            )


def _culprit(blocks: "pd.Series[float]", place: int, factor: float) -> str:
    """Return the block within which most of an attenuation happens; empty without one."""
    logs = np.log(blocks.to_numpy()[place:])
    hops = logs[:-1] - logs[1:]
    largest = int(np.argmax(np.abs(hops)))
    is_most = len(hops) > 1 and abs(hops[largest]) > abs(math.log(factor)) / 2
    return str(blocks.index[place + largest + 1]) if is_most else ""


def _gain(trial: Trial, bounds: Bounds) -> Iterator[Failure]:
    after = trial.after
    if after is None or not math.isfinite(after.loss) or not math.isfinite(after.rolled_loss):
        return
    gain = _share(after.rolled_loss, after.loss)
    is_invariant = abs(gain) < _INVARIANT and after.dependence > _CLEAR_DEPENDENCE
    if gain >= bounds.gain or (is_invariant and _fell(trial) >= bounds.fall):
        return  # a loss that compares examples among themselves does not mind their order
    yield Failure(
        "answers",
        "",
        f"after {len(trial.losses)} steps the loss is {gain:.1%} below what it is if each example"
        " gets another one's output",
        f"at least {bounds.gain:.0%}",
        f"({after.loss:.4g} against {after.rolled_loss:.4g}.) The network answers the"
        " same whatever it is given, or has not begun to learn this batch.",
    )


def _fall(trial: Trial, run: Run, bounds: Bounds) -> Iterator[Failure]:
    fall = _fell(trial)
    if fall >= bounds.fall or not math.isfinite(trial.losses[-1]):
        return
    end = sum(trial.losses[-_LAST_LOSSES:]) / len(trial.losses[-_LAST_LOSSES:])
    ratios = run.update_ratios()["value"]
    ratio = median(ratios[np.isfinite(ratios)].tolist() or [math.nan])
    reason = f"A step changes the values by {ratio:.1e} of their size, the median"
    if ratio < _SMALL_STEP:
        reason += ": the steps are too small"
    elif ratio > _LARGE_STEP or fall < 0:
        reason += ": the steps may be too large"
    yield Failure(
        "loss",
        "",
        f"it fell by {fall:.1%} in {len(trial.losses)} steps on one batch, from"
        f" {trial.losses[0]:.4g} to {end:.4g}",
        f"at least {bounds.fall:.0%}",
        f"{reason}.",
    )


def _fell(trial: Trial) -> float:
    """Return the share of the first loss by which the last ones, their mean, are lower."""
    last = trial.losses[-_LAST_LOSSES:]
    return _share(trial.losses[0], sum(last) / len(last))


def _share(before: float, after: float) -> float:
    """Return (before - after) / max(|before|, |after|), for losses that may be negative; 0 of 0."""
    size = max(abs(before), abs(after))
    return (before - after) / size if size > 0 else 0.0


def _module(layer: str) -> str:
    """Return the name of a module, without the number of its call."""
    return layer.partition("#")[0]
