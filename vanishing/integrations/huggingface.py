"""Watch a training of Hugging Face's Trainer: a callback that begins and ends `vanishing.watch`."""

from typing import Any

from vanishing.integrations.callback import WatchingCallback
from vanishing.integrations.extras import not_installed

try:
    from accelerate.optimizer import AcceleratedOptimizer
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as _error:
    raise not_installed("transformers or accelerate", "huggingface") from _error


class Watch(WatchingCallback, TrainerCallback):
    """Records a training of transformers' Trainer, as `vanishing.watch` records a loop.

    It begins when training starts and is closed when it ends. The Trainer tells its callbacks
    nothing of an exception: then the end of the program closes the watch, or that of a `with`:

        with Watch("runs/mine") as watch:
            Trainer(…, callbacks=[watch]).train()

    The losses are those that the Trainer logs: every `logging_steps` the mean since the last time.
    """

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

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
        self.begin(kwargs["model"], optimizer)

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
        self.close()
