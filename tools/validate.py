"""Check params.yaml before DVC touches anything: `python -m tools.validate [V …]`.

Every stage checks the sections that it reads; but DVC removes a stage's outputs before it starts
the stage, so an error found here costs nothing.
"""

import sys

from stages.core.errors import run_command
from stages.core.params import section
from stages.core.params.whole import Params


def main(argv: list[str]) -> None:
    """Read params.yaml, and look up the variants that the command line names, if any."""
    settings = section.load(Params)
    for name in argv:
        settings.variant(name)


if __name__ == "__main__":
    sys.exit(run_command(main))
