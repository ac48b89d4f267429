"""TorchInstruments: statistics of modules' outputs and their gradients, by wrapping `forward`."""

from bisect import bisect_left
from datetime import UTC, datetime
from types import TracebackType

from torch import Tensor

from benchmarks.watchers.watcher import Quantity, Records, Watcher


class TorchInstruments(Watcher):
    """`inject_observer(model)`. It counts forward passes: which step each was of is told by time.

    Several calls of a module within one pass are taken together; each of its rows has the extremes
    of one of them.
    """

    quantity = Quantity("output", "range")

    def __enter__(self) -> "TorchInstruments":
        from torchinstruments import inject_observer  # noqa: PLC0415 - for the benchmarks alone
        from torchinstruments.sampling import EveryNForwardsSampler  # noqa: PLC0415

        self._step_ends: list[datetime] = []
        inject_observer(
            self.model,
            output_dir=self.folder / "stats",
            sampler=EveryNForwardsSampler(self.every),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from torchinstruments import remove_observer  # noqa: PLC0415 - for the benchmarks alone

        remove_observer(self.model)

    def after_step(self, loss: Tensor) -> None:
        """Keep the time; the tool itself needs no call."""
        self._step_ends.append(datetime.now(UTC))
        super().after_step(loss)

    def records(self) -> Records:
        """Read the extremes of the output gradients from history.parquet, where all are finite."""
        import polars as pl  # noqa: PLC0415 - installed for the benchmarks alone

        history = pl.read_parquet(self.folder / "stats/history.parquet").filter(
            (pl.col("signal") == "output_gradient") & pl.col("value").is_not_null()
        )
        value, metric = pl.col("value"), pl.col("metric")
        samples = (
            history.group_by("sample_id", "timestamp", "layer")
            .agg(
                value.filter(metric == "min").min().alias("min"),
                value.filter(metric == "max").max().alias("max"),
                value.filter(metric == "nonfinite_fraction").max().alias("nonfinite"),
            )
            .filter(pl.col("nonfinite") == 0)
            .sort("sample_id")
        )
        records: Records = {}
        for row in samples.iter_rows(named=True):
            step = bisect_left(self._step_ends, row["timestamp"]) + 1
            records.setdefault(step, {})[row["layer"]] = (row["min"], row["max"])
        return records
