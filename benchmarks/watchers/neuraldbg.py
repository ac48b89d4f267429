"""NeuralDBG: norms of the gradients of modules' outputs, in hooks of the backward pass.

Its events are changes from one state to another. The norm of each step stands in an attribute until
the next one comes, and is read from there.
"""

from types import TracebackType

from torch import Tensor

from benchmarks.watchers.watcher import Quantity, Records, Watcher


class NeuralDBG(Watcher):
    """`NeuralDbg(model)` and `record_loss` after each step; it has no cadence."""

    quantity = Quantity("output", "norm")

    def __enter__(self) -> "NeuralDBG":
        from neuraldbg import NeuralDbg  # noqa: PLC0415 - installed for the benchmarks alone

        self._debugger = NeuralDbg(self.model)
        self._debugger.__enter__()
        self._norms: Records = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._debugger.__exit__(kind, error, traceback)

    def after_step(self, loss: Tensor) -> None:
        """Hand over the loss, and read the norms."""
        self._debugger.record_loss(loss.item())
        self._norms[self.step] = {
            label.partition("_")[2]: (norm,)  # the label is the module's type and name
            for label, norm in self._debugger.previous_gradient_norms.items()
        }
        self._debugger.step_iteration()
        super().after_step(loss)

    def failures(self) -> list[str]:
        """Return the kinds of failure that it saw a first layer of, as `gradient_vanishing`."""
        return list(self._debugger.first_failure_layer)

    def hypotheses(self, failure_type: str) -> list[str]:
        """Return its explanations of a type of failure."""
        return [
            hypothesis.description for hypothesis in self._debugger.explain_failure(failure_type)
        ]

    def records(self) -> Records:
        """Return the norms, step by step."""
        return self._norms
