"""models/V/: what a training run leaves, and the description that makes it readable alone."""

from pathlib import Path

from pydantic import PositiveInt, ValidationError

from vanishing.errors import StudyError
from vanishing.files import MODELS, write_json
from vanishing.params.base import Section, VariantName
from vanishing.params.study import Data, Train, Variant


class Run(Section):
    """run.json: the resolved parameters that the weights beside it came from."""

    variant: VariantName
    network: Variant
    inputs: PositiveInt
    classes: PositiveInt
    train: Train
    data: Data

    def save(self) -> None:
        """Write `models/V/run.json`."""
        write_json(description_path(self.variant), self.model_dump(mode="json", by_alias=True))


def load(variant: str) -> Run:
    """Read `models/V/run.json`.

    Returns:
        The run's description.

    Raises:
        StudyError: If it is missing or damaged.
    """
    path = description_path(variant)
    try:
        return Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(
            f"{path}: cannot be read ({reason}); restore it: dvc checkout, or dvc repro"
        ) from None


def description_path(variant: str) -> Path:
    """Return the path of a run's description."""
    return MODELS / variant / "run.json"


def history_path(variant: str) -> Path:
    """Return the path of a run's losses and accuracies by epoch."""
    return MODELS / variant / "history.parquet"


def losses_path(variant: str) -> Path:
    """Return the path of a run's loss at every step."""
    return MODELS / variant / "losses.parquet"


def trace_path(variant: str) -> Path:
    """Return the path of the statistics recorded while the run trained."""
    return MODELS / variant / "trace.parquet"


def trace_histograms_path(variant: str) -> Path:
    """Return the path of the histograms recorded while the run trained."""
    return MODELS / variant / "trace_histograms.parquet"


def snapshot_path(variant: str, seed: int, epoch: int) -> Path:
    """Return the path of the weights after `epoch` epochs (0: the initialisation)."""
    return MODELS / variant / f"seed-{seed}" / f"epoch-{epoch:03d}.safetensors"
