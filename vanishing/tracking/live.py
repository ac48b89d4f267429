"""Show a training run in MLflow while it runs: `python -m vanishing.tracking.live V S`.

In: the journal of variant V and seed S, while it grows; standard input, which closes when training
has ended or died. Out: an MLflow run with the metrics, at most a call a second, closed as finished
or failed; `track` completes it. Any failure of MLflow ends in one warning.
"""

import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# Read when mlflow is imported: no patience with a server that is slow or down.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from vanishing import paths
from vanishing.errors import StudyError
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.tracking import identity, scalars, source
from vanishing.tracking.connection import StoreError
from vanishing.tracking.journal import Line, read_on
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.store import FAILED, FINISHED, MLflowStore
from vanishing.tracking.tags import SEED, TRAINING, VARIANT

INTERVAL_S = 1.0


def main(argv: list[str]) -> None:
    """Show the training run of the variant and seed that the command line names."""
    variant, seed = argv[0], int(argv[1])
    os.nice(5)  # training comes first
    try:
        show(variant, seed)
    except (StoreError, StudyError, OSError) as error:
        print(
            f"warning: {identity.run_name(variant, seed)}: no more live metrics: {error}; training"
            " continues, and `make track` completes the run",
            file=sys.stderr,
        )


def show(variant: str, seed: int) -> None:
    """Write the metrics in a journal to a run of MLflow, which is created for it.

    The run begins and ends when training did. A training that failed or was killed notes no end:
    its run ends when this process saw that. In a temporary copy of the repository there is no store
    to write to.
    """
    root = load(Study).root
    if identity.is_temporary(Path(root)):
        return
    store = MLflowStore(identity.experiment(Path(root)))
    run_id = ""
    last: Line = {}
    for lines in follow(variant, seed):
        if not run_id:
            run_id = begin(store, root, lines[0])
        store.log(run_id, [scalar for line in lines for scalar in metrics(line)])
        last = lines[-1]
    if run_id:
        finished = last["kind"] == "end"
        store.end(
            run_id,
            FINISHED if finished else FAILED,
            last["time"] if finished else time.time(),
        )


def begin(store: MLflowStore, root: str, start: Line) -> str:
    """Create the run that shows a training, from the first line of its journal.

    Returns:
        Its id.
    """
    variant, seed = start["variant"], start["seed"]
    tags = {VARIANT: variant, SEED: str(seed), TRAINING: start["training"]}
    tags |= source.of_stage("train") | source.commit(root)
    return store.begin(identity.run_name(variant, seed), tags, start["time"])


def follow(variant: str, seed: int) -> Iterator[list[Line]]:
    """Yield the new lines of a journal once a second, until standard input closes."""
    ended = False
    with paths.journal(variant, seed).open("rb") as file:
        while not ended:
            ready, _, _ = select.select([sys.stdin], [], [], INTERVAL_S)
            ended = bool(ready)  # nothing is ever written to it, so it has closed
            lines = read_on(file)
            if lines:
                yield lines


def metrics(line: Line) -> list[Scalar]:
    """Return the metrics in one line of a journal."""
    if line["kind"] == "epoch":
        return scalars.of_epoch(line["row"])
    if line["kind"] == "trace":
        step = line["rows"][0]["step"]
        return [scalars.of_loss(step, line["loss"]), *scalars.of_trace(line["rows"])]
    return []


if __name__ == "__main__":
    main(sys.argv[1:])
