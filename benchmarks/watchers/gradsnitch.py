"""gradsnitch: rules on the curves of loss, gradient norm, learning rate and size of the updates.

It records no gradient of a layer, so that it is not among WATCHERS: it is compared by its findings
alone (benchmarks.zoo.rivals).
"""

import contextlib
import io
from typing import Any

from torch import Tensor

from benchmarks.watchers.watcher import Watcher


class Gradsnitch(Watcher):
    """`gradsnitch.watch(model, optimizer)`, and `log` while the step's gradients are there."""

    def __enter__(self) -> "Gradsnitch":
        import gradsnitch  # noqa: PLC0415 - installed for the benchmarks alone

        self._monitor = gradsnitch.watch(self.model, self.optimizers[0])
        return self

    def after_step(self, loss: Tensor) -> None:
        """Log the step, whose gradients are kept until the next one begins."""
        self._monitor.log(self.step, loss.item())
        super().after_step(loss)

    def findings(self) -> list[Any]:
        """Return what it finds, each with a `code` and a `severity`."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints them too
            findings: list[Any] = self._monitor.report()
        return findings
