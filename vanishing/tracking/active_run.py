"""The MLflow run that is active in a user's program: a watched training is shown in it.

In: the tables of each flush of `vanishing.watch`, and the files that it leaves. Out: metrics of the
run while training goes on, and at the end artifacts and a tag, the verdict. A thread sends them,
for which training never waits and which the end awaits for a limited time. MLflow is not imported
where the user's program has not imported it.
"""

import queue
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from vanishing.errors import redact
from vanishing.tracking import scalars

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from vanishing.tracking.scalars import Scalar

PATIENCE_S = 10.0  # the longest that the end of a watch waits
ARTIFACTS = "vanishing"  # the folder of artifacts, with a folder per watch
FIGURE = "gradients.png"
VERDICT_TAG = "vanishing.{}.verdict"  # of a watch's name, as MLflow takes it

# MLflow's limit for a call, and ours for a flush, which comes every ten seconds. MLflow's SQLite
# store takes 0.3 ms of Python per metric, and Python runs in one thread at a time.
_METRICS_PER_CALL = 1000
_MOST_WAITING = 16  # flushes: minutes in which MLflow took nothing
_LONGEST_REASON = 200  # characters of MLflow's message that a warning repeats

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
_Job = Callable[["MlflowClient"], None]


def attach(layers: int) -> "ActiveRun | None":
    """Find the run that is active in this thread, as `mlflow.start_run` or autologging left it.

    Args:
        layers: How many may be shown: their indices have as many digits as the last one needs.

    Returns:
        The run; None if there is none, or MLflow is not imported.
    """
    mlflow = sys.modules.get("mlflow")
    if mlflow is None:
        return None
    try:
        run = mlflow.active_run()
        if run is None:
            return None
        return ActiveRun(mlflow.get_tracking_uri(), str(run.info.run_id), layers)
    except Exception:  # noqa: BLE001 - an MLflow that cannot say so has no active run
        return None


class ActiveRun:
    """Shows a watched training in a run of MLflow that somebody else has begun, and will end."""

    def __init__(self, address: str, run_id: str, layers: int) -> None:
        """Begin the thread.

        Args:
            address: Of MLflow's store.
            run_id: MLflow's id of the run.
            layers: As for `attach`.
        """
        self._address = address
        self._run_id = run_id
        self._layers = layers
        self._without_loss: set[int] = set()  # steps that were shown
        self._failure: str | None = None  # of the thread's, too
        self._warned = False
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="vanishing-mlflow", daemon=True)
        self._thread.start()

    def show(self, tables: Tables) -> None:
        """Send what a flush wrote, without waiting.

        Args:
            tables: {table: columns, in pieces}; `trace` and `losses` are read.
        """
        pieces = {name: list(tables[name]) for name in ("trace", "losses")}
        self._enqueue(lambda client: self._send(client, pieces))
        self._warn()

    def end(
        self, files: Sequence[Path], draw: Callable[[Path], object], judge: Callable[[], object]
    ) -> None:
        """Send files and a figure as artifacts and the verdict as a tag, and wait for everything.

        It waits for PATIENCE_S at most.

        Args:
            files: The training's files, of one folder.
            draw: Writes the figure, or nothing, to the path of a PNG.
            judge: Returns the verdict on the training, whose text is shown.
        """
        if self._failure is None:
            made: dict[str, object] = {}
            failure = None
            with TemporaryDirectory() as temporary:
                figure = Path(temporary) / FIGURE
                makers: dict[str, Callable[[], object]]
                makers = {"figure": lambda: draw(figure), "verdict": judge}
                for kind, make in makers.items():
                    try:
                        made[kind] = make()
                    except Exception as error:  # noqa: BLE001 - MLflow gets the tables all the same
                        failure = f"no {kind} could be made ({_in_short(error)})"
                if "verdict" in made:
                    name, verdict = files[-1].parent.name, str(made["verdict"])
                    self._enqueue(lambda client: self._set_verdict(client, name, verdict))
                self._enqueue(lambda client: self._attach_files(client, [figure, *files]))
                self._enqueue(None)
                self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                self._fail(f"did not take everything within {PATIENCE_S:g} s")
            self._failure = self._failure or failure
        self._warn()

    def _enqueue(self, job: _Job | None) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._fail("takes metrics more slowly than they come")

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason

    def _warn(self) -> None:
        """Warn of a failure, once, in the thread that trains."""
        if self._failure is not None and not self._warned:
            self._warned = True
            warnings.warn(
                f"vanishing.watch: MLflow at {redact(self._address)}: {self._failure}; its run"
                " lacks metrics or files that the folder has, and training goes on",
                stacklevel=2,
            )

    def _work(self) -> None:
        """Do the jobs, in the thread, until the end or the first failure."""
        try:
            from mlflow import MlflowClient  # noqa: PLC0415 - the user's program has imported it

            client = MlflowClient(tracking_uri=self._address)
            while self._failure is None and (job := self._jobs.get()) is not None:
                job(client)
        except Exception as error:  # noqa: BLE001 - whatever MLflow raises, training goes on
            self._fail(_in_short(error))

    def _send(self, client: "MlflowClient", tables: Tables) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415

        now_ms = int(time.time() * 1000)
        metrics = [Metric(s.name, s.value, now_ms, int(s.step)) for s in self._scalars(tables)]
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            batch = metrics[start : start + _METRICS_PER_CALL]
            client.log_batch(self._run_id, metrics=batch, synchronous=True)

    def _scalars(self, tables: Tables) -> list["Scalar"]:
        """Return the norms by layer of the steps that are shown, and these steps' losses."""
        norms = scalars.of_trace(_norms(tables["trace"]), self._layers)
        steps = _thin([scalar.step for scalar in norms], _METRICS_PER_CALL)
        self._without_loss |= steps
        losses: dict[int, float] = {}
        for columns in tables["losses"]:
            losses |= zip(columns["step"], columns["loss"], strict=True)
        shown = self._without_loss & losses.keys()
        self._without_loss -= shown
        return [
            *(scalar for scalar in norms if scalar.step in steps),
            *(scalars.of_loss(step, losses[step]) for step in sorted(shown)),
        ]

    def _set_verdict(self, client: "MlflowClient", name: str, verdict: str) -> None:
        tag = VERDICT_TAG.format(re.sub(r"[^\w. -]", "_", name, flags=re.ASCII))
        client.set_tag(self._run_id, tag, verdict)

    def _attach_files(self, client: "MlflowClient", files: Sequence[Path]) -> None:
        folder = f"{ARTIFACTS}/{files[-1].parent.name}"
        for file in files:
            if file.exists():
                client.log_artifact(self._run_id, str(file), folder)


def _norms(pieces: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of norms; of each there are twenty others."""
    for columns in pieces:
        for row, statistic in enumerate(columns["statistic"]):
            if statistic == "l2_norm":
                yield {name: column[row] for name, column in columns.items()}


def _thin(steps: Sequence[int], limit: int) -> set[int]:
    """Choose steps evenly, the last one among them.

    Args:
        steps: Of each metric.
        limit: How many metrics there may be; one step is chosen even if it has more.

    Returns:
        All steps, if they are no more than that.
    """
    distinct = sorted(set(steps))
    if len(steps) <= limit:
        return set(distinct)
    count = max(1, limit * len(distinct) // len(steps))
    return {distinct[-1 - i * len(distinct) // count] for i in range(count)}


def _in_short(error: Exception) -> str:
    text = shorten(redact(str(error)), _LONGEST_REASON, placeholder=" …")
    return text or type(error).__name__
