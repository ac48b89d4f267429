"""TensorBoard's `add_histogram` of each gradient, called by hand before `optimizer.step()`."""

import math
from types import TracebackType

from torch import nn

from benchmarks.watchers.watcher import Records, Watcher


class AddHistogram(Watcher):
    """A histogram of every parameter that has a gradient; it keeps the sum of squares."""

    def __enter__(self) -> "AddHistogram":
        from torch.utils.tensorboard import (  # noqa: PLC0415 - installed for the benchmarks alone
            SummaryWriter,
        )

        self._writer = SummaryWriter(str(self.folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def before_step(self, part: nn.Module, prefix: str = "") -> None:
        """Add the histograms."""
        if self.step % self.every:
            return
        for name, parameter in part.named_parameters():
            if parameter.grad is not None:
                self._writer.add_histogram(prefix + name, parameter.grad, self.step)

    def records(self) -> Records:
        """Read the norms from the event files."""
        from tensorboard.backend.event_processing.event_file_loader import (  # noqa: PLC0415
            LegacyEventFileLoader,
        )

        records: Records = {}
        for path in self.folder.glob("events.*"):
            for event in LegacyEventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    norm = math.sqrt(value.histo.sum_squares)
                    records.setdefault(event.step, {})[value.tag] = (norm,)
        return records
