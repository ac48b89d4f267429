"""The start and the end of a run: those of its trainings, as far as they are known."""

from typing import NamedTuple

from mlflow.entities import Run

from vanishing.tracking.tags import TIMES, TRAINING


class Times(NamedTuple):
    """When a run's trainings began and ended.

    Attributes:
        trainings: Tells these trainings from all others.
        started: When the first began, in seconds since 1970.
        ended: When the last ended, likewise.
    """

    trainings: str
    started: float
    ended: float


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow has it."""
    return int(seconds * 1000)


def showed(run: Run, times: Times | None) -> bool:
    """Return whether a run showed a training live."""
    return times is not None and run.data.tags.get(TRAINING) == times.trainings


def is_timely(run: Run, times: Times | None) -> bool:
    """Return whether a finished run's start and end are those of trainings that gave its results.

    Args:
        run: The run.
        times: Of the trainings that gave them last; None if these are not known.
    """
    noted = run.data.tags.get(TIMES)
    if times is None or noted not in {None, times.trainings}:  # None, or trainings before the last
        return noted is not None or run.info.end_time is None
    expected = (milliseconds(times.started), milliseconds(times.ended))
    return (run.info.start_time, run.info.end_time) == expected


def may_become_timely(run: Run, times: Times | None) -> bool:
    """Return whether a run has the right start: an end can be changed, but not taken away."""
    if times is None:
        return run.info.end_time is None
    return bool(run.info.start_time == milliseconds(times.started))
