"""Runs one stage of dvc.yaml: `python -m stages NAME [ARGUMENT …]`.

It imports the stage, and no stage imports it. So the code that watches over a stage is in no
fingerprint, and an edit of it runs no stage again.
"""

import importlib
import os
import sys
from functools import partial
from pathlib import Path

try:
    from vanishing.errors import StudyError, did_you_mean, in_one_line, run_command
    from vanishing.pipeline.guard import guard
    from vanishing.pipeline.lifetime import STAGE, end_with_dvc
except ModuleNotFoundError as missing:  # DVC takes the first `python` on PATH, whichever that is
    sys.exit(
        f"error: {sys.executable} has no module {missing.name}; that of `make setup` has it:"
        " source .venv/bin/activate"
    )

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(argv: list[str]) -> None:
    """Run the stage that the command line names.

    A stage's module has `main(argv)`; where it also has `prepare()`, that is called first, before
    the stage's inputs are noted.

    Raises:
        StudyError: If there is no such stage, or it fails.
    """
    name, *arguments = argv or [""]
    if name not in NAMES:
        raise StudyError(
            f"stages: no stage {name!r}{did_you_mean(name, NAMES)}; there are: {', '.join(NAMES)}"
        )
    try:
        stage = importlib.import_module(f"stages.{name}")
    except ImportError as error:  # a module that is missing, or a library that cannot be loaded
        raise StudyError(f"stage {name}: {in_one_line(error)} ({sys.executable})") from None
    try:
        if STAGE in os.environ:
            end_with_dvc()
            if hasattr(stage, "prepare"):
                stage.prepare()
            guard(name, arguments, partial(stage.main, arguments))
        else:
            stage.main(arguments)
    except FileNotFoundError as error:  # by hand, a stage may run before those that it needs
        address = f"{name}@{'-'.join(arguments)}" if arguments else name
        raise StudyError(f"{error.filename or error}: missing; run: dvc repro {address}") from None


if __name__ == "__main__":
    sys.exit(run_command(main, is_stage=True))
