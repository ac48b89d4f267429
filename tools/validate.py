"""Check params.yaml before DVC touches anything: `python -m tools.validate`.

Every stage checks it as well; but DVC removes a stage's outputs before it starts the stage, so an
error found here costs nothing.
"""

import sys

from stages.core.errors import run_command
from stages.core.params import load


def main(_argv: list[str]) -> None:
    """Read params.yaml."""
    load()


if __name__ == "__main__":
    sys.exit(run_command(main))
