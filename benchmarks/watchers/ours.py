"""`vanishing.watch`, as docs/watching.md shows it."""

from types import TracebackType

from torch import Tensor

import vanishing
from benchmarks.watchers.watcher import Records, Watcher
from vanishing.judging.runs import load_run


class Ours(Watcher):
    """The watch of this library."""

    def __enter__(self) -> "Ours":
        self._watch = vanishing.watch(
            self.model, self.optimizers, folder=self.folder / "run", every=self.every
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.close()

    def after_step(self, loss: Tensor) -> None:
        """Hand over the loss."""
        self._watch.loss(loss)
        super().after_step(loss)

    def records(self) -> Records:
        """Read the norms of the gradients from the table `trace`."""
        gradients = load_run(self.folder / "run").gradients("l2_norm")
        names = gradients["layer"] + "." + gradients["tensor"].str.removesuffix("_gradient")
        records: Records = {}
        for step, name, value in zip(gradients["step"], names, gradients["value"], strict=True):
            records.setdefault(int(step), {})[name.removeprefix(".")] = (float(value),)
        return records

    def flush(self) -> None:
        """Write the tables, as the watch does every ten seconds."""
        self._watch.flush()
