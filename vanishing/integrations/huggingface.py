"""Watch a training of Hugging Face's Trainer: a callback that begins and ends `vanishing.watch`."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vanishing import recorder
from vanishing.integrations.extras import not_installed

try:
    from accelerate.optimizer import AcceleratedOptimizer
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as _error:
    raise not_installed("transformers or accelerate", "huggingface") from _error

if TYPE_CHECKING:
    from vanishing.recording.parameters import Choice


class Watch(TrainerCallback):
    """Records a training of transformers' Trainer, as `vanishing.watch` records a loop.

    It begins when training starts and is closed when it ends. The Trainer tells its callbacks
    nothing of an exception: then the end of the program closes the watch, or that of a `with`:

        with Watch("runs/mine") as watch:
            Trainer(…, callbacks=[watch]).train()

    The losses are those that the Trainer logs: every `logging_steps` the mean since the last time.

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
            parameters: Which ones to record, as for `vanishing.watch`.
            updates: Whether updates and their ratios are recorded.
            modules: Whether outputs of modules and their gradients are recorded.
        """
        self.watch: recorder.Watch | None = None
        self._folder = folder
        self._options: dict[str, Any] = {
            "every": every,
            "parameters": parameters,
            "updates": updates,
            "modules": modules,
        }

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Begin the watch, with the errors of `vanishing.watch`."""
        # The model comes without DistributedDataParallel: which process this is, it does not say.
        is_sharded = args.fsdp or args.deepspeed
        if not (state.is_world_process_zero or is_sharded):
            return
        optimizer = kwargs["optimizer"]
        while isinstance(optimizer, AcceleratedOptimizer):
            optimizer = optimizer.optimizer
        self.watch = recorder.watch(
            kwargs["model"], optimizer, folder=self._folder, **self._options
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Record the loss that the Trainer logs, if there is one."""
        logs = kwargs["logs"]
        if self.watch is not None and "loss" in logs:
            self.watch.loss(logs["loss"])

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Close the watch."""
        self._close()

    def _close(self) -> None:
        if self.watch is not None:
            self.watch.close()
