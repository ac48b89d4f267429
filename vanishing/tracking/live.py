"""Show a training run in MLflow while it runs: `python -m vanishing.tracking.live V`.

In: the journal of V, while it grows; standard input, which closes when training has ended or died.
Out: an MLflow run of V with its metrics, a call a second at the most, closed as finished or failed;
`stages.track` completes it. Whatever goes wrong with MLflow ends in one warning.
"""

import os
import select
import sys
from collections.abc import Iterator
from itertools import islice

# Read when mlflow is imported: a server that is slow or gone is given up on within seconds.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from vanishing.tracking import journal
from vanishing.tracking import scalars as points
from vanishing.tracking.journal import Line
from vanishing.tracking.scalars import Point
from vanishing.tracking.store import FAILED, FINISHED, Store, StoreError

INTERVAL_S = 1.0


def main(argv: list[str]) -> None:
    """Follow the journal of the variant that the command line names."""
    (variant,) = argv
    os.nice(5)  # training comes first
    try:
        show(variant)
    except StoreError as error:
        print(
            f"warning: {variant}: no live metrics from here on: {error}; training goes on, and"
            " `make track` completes the run",
            file=sys.stderr,
        )


def show(variant: str) -> None:
    """Write what the journal says to a run of its own."""
    store = Store()
    run_id: str | None = None
    seeds: list[int] = []
    last: Line = {}
    for lines in follow(variant):
        if run_id is None:
            start = lines[0]
            seeds = start["seeds"]
            run_id = store.begin(variant, start["token"])
        store.log(run_id, [point for line in lines for point in metrics(line, seeds)])
        last = lines[-1]
    if run_id is not None:
        store.end(run_id, FINISHED if last.get("kind") == "end" else FAILED)


def follow(variant: str) -> Iterator[list[Line]]:
    """Yield the journal's new lines every so often, until standard input closes."""
    seen, ended = 0, False
    while not ended:
        ready, _, _ = select.select([sys.stdin], [], [], INTERVAL_S)
        ended = bool(ready)  # nothing is ever written there: it has closed
        lines = list(islice(journal.read(variant), seen, None))
        seen += len(lines)
        if lines:
            yield lines


def metrics(line: Line, seeds: list[int]) -> list[Point]:
    """Return the metrics of one line of the journal."""
    if line["kind"] not in {"epoch", "trace"}:
        return []
    before = points.prefix(line["seed"], seeds)
    if line["kind"] == "epoch":
        return points.of_epoch(line["row"], before)
    step = line["rows"][0]["step"]
    return [points.of_loss(step, line["loss"], before), *points.of_trace(line["rows"], before)]


if __name__ == "__main__":
    main(sys.argv[1:])
