"""What the callbacks of all frameworks share: the options of a watch, its begin and its end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vanishing import recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.optim import Optimizer

    from vanishing.recording.parameters import Choice


class WatchingCallback:
    """Begins a watch when a framework's training begins, and closes it when it ends.

    Attributes:
        watch: The watch, as of the start of training, such as for `watch.probe`; None before.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every: int = 50,
        parameters: "Choice | None" = None,
        updates: bool = True,
        modules: bool = True,
    ) -> None:
        """Keep the options.

        Args:
            folder: Where to write; its last part is the run's name.
            every: Of how many steps one is traced.
            parameters: Which ones to record, as for `vanishing.watch`; names are those in the
                module that the framework trains.
            updates: Whether updates and their ratios are recorded.
            modules: Whether outputs of modules and their gradients are recorded.
        """
        super().__init__()
        self.watch: recorder.Watch | None = None
        self._folder = folder
        self._options: dict[str, Any] = {
            "every": every,
            "parameters": parameters,
            "updates": updates,
            "modules": modules,
        }

    def begin(self, model: "nn.Module", optimizer: "Optimizer | Sequence[Optimizer]") -> None:
        """Begin the watch, with the errors of `vanishing.watch`."""
        self.watch = recorder.watch(model, optimizer, folder=self._folder, **self._options)

    def close(self) -> None:
        """Close the watch, if it has begun."""
        if self.watch is not None:
            self.watch.close()
