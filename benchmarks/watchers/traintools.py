"""traintools: its GradientHealthMonitor, called by hand between backward and `optimizer.step()`."""

from typing import Any

from torch import nn

from benchmarks.watchers.watcher import Records, Watcher


class Traintools(Watcher):
    """`monitor.inspect(model)`; its reports are kept, for it keeps none."""

    def __enter__(self) -> "Traintools":
        from traintools import GradientHealthMonitor  # noqa: PLC0415 - for the benchmarks alone

        self._monitor = GradientHealthMonitor()
        self._reports: list[tuple[int, str, Any]] = []
        return self

    def before_step(self, part: nn.Module, prefix: str = "") -> None:
        """Inspect the gradients."""
        if self.step % self.every == 0:
            rate = self.optimizers[0].param_groups[0]["lr"]
            report = self._monitor.inspect(part, step=self.step, lr=rate)
            self._reports.append((self.step, prefix, report))

    def warnings(self) -> list[tuple[int, str]]:
        """Return what it warned of, with the step."""
        return [(step, text) for step, _, report in self._reports for text in report.warnings]

    def records(self) -> Records:
        """Read the norms of the layers that it calls finite."""
        records: Records = {}
        for step, prefix, report in self._reports:
            norms = {prefix + row.name: (row.grad_norm,) for row in report.layers if row.finite}
            records.setdefault(step, {}).update(norms)
        return records
