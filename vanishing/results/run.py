"""run.json: the parameters that a training run resolved, so that its results are readable alone."""

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from vanishing.errors import StudyError
from vanishing.files import write_json
from vanishing.params.base import Section, VariantName
from vanishing.params.study import Data, Training, Variant
from vanishing.paths import run_record


class Machine(Section):
    """All of the machine that decides about the last digits of a training run's results.

    Attributes:
        device: The GPU's name, or the CPU's architecture.
        instructions: The CPU's vector instructions that torch uses.
        threads: Of torch, on the CPU.
        torch: Its version.
    """

    device: str
    instructions: str
    threads: PositiveInt
    torch: str


class RunRecord(Section):
    """The resolved parameters of one training run.

    Attributes:
        variant: Its name.
        seed: Of the initialisation and of the order of the examples.
        network: The variant's parameters.
        inputs: Number of input features.
        classes: Number of classes.
        train: How the network was trained.
        data: On which images.
        machine: Where.
    """

    variant: VariantName
    seed: NonNegativeInt
    network: Variant
    inputs: PositiveInt
    classes: PositiveInt
    train: Training
    data: Data
    machine: Machine

    def save(self) -> None:
        """Write `data/training/V/seed-S/run.json`."""
        content = self.model_dump(mode="json", by_alias=True)
        write_json(run_record(self.variant, self.seed), content)


def load(variant: str, seed: int) -> RunRecord:
    """Read `data/training/V/seed-S/run.json`.

    Returns:
        The record.

    Raises:
        StudyError: If it is missing or damaged.
    """
    path = run_record(variant, seed)
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"{path}: cannot be read ({reason}); restore it: dvc repro") from None
