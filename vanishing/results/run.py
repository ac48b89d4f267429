"""run.json: the parameters that a training run resolved, so that its results are readable alone."""

from typing import Any, TypeVar

from pydantic import NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from vanishing.errors import StudyError
from vanishing.files import write_json
from vanishing.params.base import Section, VariantName
from vanishing.params.data import Data
from vanishing.params.study import TrainedVariant, Training
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
        inputs: Number of elements of an input.
        classes: Number of classes.
        train: How the network was trained.
        data: On which examples.
        machine: Where.
    """

    variant: VariantName
    seed: NonNegativeInt
    network: TrainedVariant
    inputs: PositiveInt
    classes: PositiveInt
    train: Training
    data: Data
    machine: Machine

    def save(self) -> None:
        """Write `data/training/V/seed-S/run.json`."""
        content = self.model_dump(mode="json", by_alias=True)
        write_json(run_record(self.variant, self.seed), content)


class RecordedRun(Section):
    """A variant that is a recorded run, in place of a `RunRecord`.

    Attributes:
        variant: Its name.
        seed: That of the study; the run's own is not known.
        recorded: The run's folder, relative to the study's.
        machine: Where it was trained.
        watched: All that the folder's run.json says.
    """

    variant: VariantName
    seed: NonNegativeInt
    recorded: str
    machine: Machine
    watched: dict[str, Any]

    def save(self) -> None:
        """Write `data/training/V/seed-S/run.json`."""
        write_json(run_record(self.variant, self.seed), self.model_dump(mode="json"))


Record = TypeVar("Record")
_TRAINED: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)
_ANY: TypeAdapter[RunRecord | RecordedRun] = TypeAdapter(RunRecord | RecordedRun)


def load(variant: str, seed: int) -> RunRecord:
    """Read `data/training/V/seed-S/run.json` of a training run; else an error with the remedy."""
    return _load(_TRAINED, variant, seed)


def load_any(variant: str, seed: int) -> RunRecord | RecordedRun:
    """Read the run.json of a training run or of a recorded run; else an error as of `load`."""
    return _load(_ANY, variant, seed)


def _load(record: TypeAdapter[Record], variant: str, seed: int) -> Record:
    path = run_record(variant, seed)
    try:
        return record.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"{path}: cannot be read ({reason}); restore it: dvc repro") from None
