"""Errors that are meant for the user, and how a command ends with one."""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

INTERRUPTED = 130  # exit status after Ctrl-C, as of a shell


class StudyError(Exception):
    """An error for the user: the problem, its place and the remedy, one line per problem."""


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the allowed name nearest to `given`, or ''."""
    matches = get_close_matches(str(given), list(allowed), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def run_command(main: Callable[[list[str]], None]) -> int:
    """Call `main` with the command line's arguments; a StudyError becomes lines on stderr.

    Ctrl-C ends the command without a word: the user knows.

    Returns:
        The exit status: 0, 1 after a StudyError, or 130 after Ctrl-C.
    """
    try:
        main(sys.argv[1:])
    except StudyError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
