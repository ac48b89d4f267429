"""What a network failed, in words: the text of an `AssertionError`, and the data of reports.

No torch here: the plugin imports this module in every run of pytest.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A line of a source file."""

    file: str
    line: int

    def relative_to(self, folder: Path) -> "Place":
        """Return the place with its path from a folder, where it lies there."""
        path = Path(self.file)
        inside = path.relative_to(folder) if path.is_relative_to(folder) else path
        return Place(inside.as_posix(), self.line)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Failure:
    """A check that a network failed.

    Attributes:
        check: Name of the check.
        module: Name of the module or the parameter; empty for the whole network.
        measured: The number.
        bound: What it should be, such as `at least 0.1`.
        reason: What that means, in a sentence or two.
        place: Where the module is made; None where there is no source.
    """

    check: str
    module: str
    measured: str
    bound: str
    reason: str
    place: Place | None = None

    def __str__(self) -> str:
        subject = self.module or "the network"
        where = f" ({self.place.relative_to(Path.cwd())})" if self.place else ""
        return (
            f"{self.check}: {subject}{where}: {self.measured}, should be {self.bound}."
            f" {self.reason}"
        )

    def to_json(self) -> str:
        """Return it as a JSON object, in one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Failure":
        """Read what `to_json` wrote."""
        content = json.loads(text)
        place = content.pop("place")
        return Failure(**content, place=Place(**place) if place else None)


class DoesNotTrainError(AssertionError):
    """A network failed the gate.

    Attributes:
        failures: The checks that failed, the gravest first.
        mentions: What was seen and is no failure, such as parameters that are frozen.
    """

    def __init__(self, failures: Sequence[Failure], mentions: Sequence[str] = ()) -> None:
        self.failures = tuple(failures)
        self.mentions = tuple(mentions)
        lines = [f"{number}. {failure}" for number, failure in enumerate(self.failures, start=1)]
        checks = "1 check" if len(lines) == 1 else f"{len(lines)} checks"
        text = "\n".join(
            [f"the network failed {checks}:", *lines, *(f"Note: {note}" for note in self.mentions)]
        )
        super().__init__(text)

    def __reduce__(self) -> tuple[type["DoesNotTrainError"], tuple[object, ...]]:
        return type(self), (self.failures, self.mentions)  # to another process and back
