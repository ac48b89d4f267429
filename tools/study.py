"""Begin another study: `python -m tools.study NAME`.

In: params.yaml. Out: studies/NAME/params.yaml, a copy whose `root`, `code` and `claims` lead back
here and that no study repeats, and a link to dvc.yaml, which DVC follows: dvc.lock, data/, models/
and reports/ come beside the link.
"""

import re
import sys
from pathlib import Path

from vanishing.errors import StudyError, run_command
from vanishing.files import write_text
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.paths import CLAIMS, PARAMS, PIPELINE

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")  # as a variant's: safe in a path and a shell word
_UP = "../.."


def main(argv: list[str]) -> None:
    """Create the study that the command line names.

    Raises:
        StudyError: If the name is not one, or is taken.
    """
    name = argv[0] if argv else ""
    if not _NAME.fullmatch(name):
        raise StudyError(
            f"NAME={name}: should be lower-case letters, digits and hyphens; for example:"
            " make study NAME=depths"
        )
    folder = Path("studies") / name
    if folder.exists():
        raise StudyError(f"{folder}: exists already; choose another NAME, or remove it")
    study = load(Judged)
    text = PARAMS.read_text("utf-8")
    values = {
        "root": _UP,
        "code": f"{_UP}/{study.code}",
        "claims": f"{_UP}/{study.claims}",
        "repeated_by": CLAIMS.as_posix(),
    }
    for key, value in values.items():
        text = re.sub(rf"^{key}: \S+", f"{key}: {value}", text, flags=re.MULTILINE)
    write_text(folder / PARAMS, text)
    (folder / PIPELINE).symlink_to(Path(_UP) / PIPELINE)
    print(f"{folder / PARAMS}: edit it, then: make repro STUDY={folder}")


if __name__ == "__main__":
    sys.exit(run_command(main))
