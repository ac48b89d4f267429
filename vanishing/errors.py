"""Errors that are meant for the user, and how a command ends with one."""

import io
import re
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from vanishing import environment

_PASSWORD = re.compile(r"(\w://[^\s/@:]*:)[^\s/]*@")
INTERRUPTED = 130  # exit status after Ctrl-C, as of a shell


class StudyError(Exception):
    """An error for the user: the problem, its place and the remedy, one line per problem."""


def redact(text: str) -> str:
    """Return a text without the passwords of its addresses: `scheme://user:***@host`."""
    return _PASSWORD.sub(r"\1***@", text)


def in_one_line(error: Exception) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the allowed name nearest to `given`, or ''."""
    matches = get_close_matches(str(given), list(allowed), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def run_command(main: Callable[[list[str]], None], is_stage: bool = False) -> int:
    """Call `main` with the command line's arguments, in an environment without foreign variables.

    A StudyError becomes lines on stderr. Ctrl-C ends the command without a word: the user knows.

    Args:
        main: The command.
        is_stage: As for `environment.prepare`.

    Returns:
        The exit status: 0, 1 after a StudyError, or 130 after Ctrl-C.
    """
    environment.prepare(is_stage)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a locale may lack the × of a count
    try:
        main(sys.argv[1:])
    except StudyError as error:
        for line in redact(str(error)).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
