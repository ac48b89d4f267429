"""torchmortem's Autopsy: gradients of the outputs of modules, in hooks of the backward pass."""

from types import TracebackType
from typing import Any

from torch import Tensor

from benchmarks.watchers.watcher import Quantity, Records, Watcher


class Torchmortem(Watcher):
    """`Autopsy(model, optimizer=optimizer)`, `step(loss=loss.item())` after each step."""

    quantity = Quantity("output", "norm")

    def __enter__(self) -> "Torchmortem":
        from torchmortem import Autopsy, SamplingConfig  # noqa: PLC0415 - for benchmarks alone

        self._autopsy = Autopsy(
            self.model,
            optimizer=self.optimizers[0],
            sampling=SamplingConfig(default_interval=self.every),
        )
        self._autopsy.attach()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._autopsy.detach(is_complete=error is None)

    def after_step(self, loss: Tensor) -> None:
        """End the step."""
        self._autopsy.step(loss=loss.item())
        super().after_step(loss)

    def report(self) -> Any:
        """Return the report, whose `findings` have a severity and a title."""
        return self._autopsy.get_report()

    def records(self) -> Records:
        """Read the series `grad_norm` of the report."""
        gradients = self.report().collector_states["gradient"]
        rows = zip(gradients.steps, gradients.series["grad_norm"], strict=True)
        return {
            int(step) + 1: {
                name: (float(norm),) for name, norm in zip(gradients.layers, norms, strict=True)
            }
            for step, norms in rows
        }
