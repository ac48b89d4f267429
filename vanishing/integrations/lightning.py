"""Watch a training of Lightning: a callback that begins and ends `vanishing.watch`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vanishing.integrations.callback import WatchingCallback
from vanishing.integrations.extras import not_installed

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.core.optimizer import LightningOptimizer
except ImportError as _error:
    raise not_installed("lightning", "lightning") from _error

if TYPE_CHECKING:
    from torch import Tensor


class Watch(WatchingCallback, Callback):
    """Records a training of Lightning, as `vanishing.watch` records a loop.

    It begins when training starts and is closed at the end or on an exception. The loss of each
    batch is recorded, as `training_step` returns it. Trainings of several optimizers (manual
    optimization) are recorded with the optimizers in the order of `configure_optimizers`.
    """

    def __init__(self, folder: str | Path, **options: Any) -> None:
        """Keep the folder and the options of `WatchingCallback`."""
        super().__init__(folder, **options)
        self._losses: list[Tensor] = []  # of the step that comes
        self._steps = 0  # that Lightning had taken at the last batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the watch, with the errors of `vanishing.watch`."""
        # Lightning wraps optimizers where it calls them; a module may give some that are wrapped.
        optimizers = [
            optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
            for optimizer in trainer.optimizers
        ]
        self._losses.clear()
        self._steps = trainer.global_step
        self.begin(
            trainer.model or pl_module,  # wrapped, where several processes train
            optimizers[0] if len(optimizers) == 1 else optimizers,
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record the loss of a batch.

        A step comes within the last of its micro-batches. So the losses of all of them wait until
        then, and belong to it.
        """
        if self.watch is None:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if loss is not None:
            micro_batches = trainer.accumulate_grad_batches  # Lightning has divided by it
            is_divided = pl_module.automatic_optimization and micro_batches > 1
            self._losses.append(loss * micro_batches if is_divided else loss)
        if trainer.global_step > self._steps:
            self._steps = trainer.global_step
            for loss in self._losses:
                self.watch.loss(loss)
            self._losses.clear()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the watch."""
        self.close()

    def on_exception(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        exception: BaseException,
    ) -> None:
        """Close the watch."""
        self.close()
