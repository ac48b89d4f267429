"""What is said in the end: a fault, a change, or that nothing is to be done; and what was tried."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tabulate import tabulate

from vanishing.remedies.faults import Fault

Outcome = Literal["fault", "learns", "change", "none"]


@dataclass(frozen=True)
class Trial:
    """A change that was tried, or was not.

    Attributes:
        name: Of the change; empty for the training as it is.
        code: Lines of Python that do it.
        decades: Of the attenuation at initialisation, the median over seeds; NaN where it was not
            measured.
        steps: Of its pilot.
        score: At the end of the pilot; NaN without one.
        gain: Over the training as it is, after as many steps; NaN likewise.
        interval: Of the gain, 95 %, over test examples; None where there is none.
        parameters: How many more the network has.
        seconds: Per step.
        note: Why it was not tried, or dropped; empty otherwise.
    """

    name: str
    code: str = ""
    decades: float = math.nan
    steps: int = 0
    score: float = math.nan
    gain: float = math.nan
    interval: tuple[float, float] | None = None
    parameters: int = 0
    seconds: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Advice:
    """What to do about a training.

    Attributes:
        outcome: A plain `fault`; `learns`: leave it alone; a `change`; or `none` helped.
        reason: The verdict on the training as it is.
        fault: The fault; None with another outcome.
        change: The smallest change that suffices; None with another outcome.
        is_expected_to_heal: Whether the pilot's score is one with which others were healed.
        tried: All that were tried, the best first.
        as_is: The training as it is.
        trainings: What the pilots cost, in trainings as planned.
        params: Keys of a variant in params.yaml that make the change; empty where none do.
    """

    outcome: Outcome
    reason: str
    fault: Fault | None = None
    change: Trial | None = None
    is_expected_to_heal: bool = False
    tried: Sequence[Trial] = ()
    as_is: Trial | None = None
    trainings: float = 0.0
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def sentence(self) -> str:
        """The answer, in a sentence or two."""
        if self.fault is not None:
            return f"A plain fault: {self.fault}"
        if self.outcome == "learns":
            return f"It learns as it is: leave it alone. {self.reason}"
        if self.change is None:
            return f"{_none(self.tried)} {self.reason}"
        hope = (
            "is expected to heal it" if self.is_expected_to_heal else "helps, and may not suffice"
        )
        low, high = self.change.interval or (math.nan, math.nan)
        return (
            f"{self.change.name} {hope}: after {self.change.steps} steps the score is"
            f" {self.change.score:.2f}, {self.change.gain:+.2f} [{low:+.2f}, {high:+.2f}] beside"
            f" the training as it is. {self.reason}"
        )

    def __str__(self) -> str:
        """Write the answer, how it is done, what was tried, and what that cost."""
        parts = [self.sentence]
        if self.change is not None:
            parts.append(_indented(self.change.code))
        if self.tried:
            parts.append(tabulate_trials(self.as_is, self.tried))
        parts.append(f"Cost: {self.trainings:.2f} of a training as planned.")
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return what does not depend on the clock, for a file."""
        content: dict[str, Any] = _without_clock(asdict(self))
        return content


def _none(tried: Sequence[Trial]) -> str:
    """Say that nothing suffices, and which change gains most if one gains for sure."""
    best = next(iter(tried), None)
    if best is None or best.interval is None or best.interval[0] <= 0:
        return "None of these changes helped."
    return (
        f"None of these changes gains enough. The most is {best.gain:+.2f} after {best.steps}"
        f" steps, with {best.name}."
    )


def _without_clock(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_clock(value) for key, value in content.items() if key != "seconds"}
    if isinstance(content, list | tuple):
        return [_without_clock(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


def tabulate_trials(
    as_is: Trial | None, tried: Sequence[Trial], style: str = "simple", with_time: bool = True
) -> str:
    """Write a line per change: attenuation, steps, score, gain, what it costs, or why not.

    Args:
        as_is: The first line.
        tried: The others.
        style: Of tabulate.
        with_time: Whether the time per step is among the costs, which differs from run to run.

    Returns:
        The lines.
    """
    rows = [_row(trial, as_is) for trial in ([as_is] if as_is else []) + list(tried)]
    headers = ["change", "decades", "steps", "score", "gain", "95 %", "parameters", "time", "note"]
    if not with_time:
        place = headers.index("time")
        headers, *rows = [line[:place] + line[place + 1 :] for line in [headers, *rows]]
    align = ("left", *("right",) * (len(headers) - 2), "left")
    return tabulate(rows, headers, style, colalign=align, disable_numparse=True)


def _row(trial: Trial, as_is: Trial | None) -> list[str]:
    low, high = trial.interval or (math.nan, math.nan)
    ratio = trial.seconds / as_is.seconds if as_is else math.nan
    return [
        trial.name or "as it is",
        _number(trial.decades, "+.1f"),
        str(trial.steps or ""),
        _number(trial.score, ".2f"),
        _number(trial.gain, "+.2f"),
        "" if math.isnan(low) else f"[{low:+.2f}, {high:+.2f}]",
        f"{trial.parameters:+d}" if trial.parameters and trial.name else "",
        "" if math.isnan(ratio) or not trial.name else f"× {ratio:.1f}",
        trial.note,
    ]


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
