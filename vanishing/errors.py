"""Errors that are meant for the user, and how a command ends with one."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from vanishing import environment

_PASSWORD = re.compile(r"(\w://[^\s/@:]*:)[^\s/]*@")
_NAMED = 5  # names of many that a message has
_STDERR = 2  # the last of the standard streams' descriptors

# Exit statuses, as a shell has them:
INTERRUPTED = 130  # after Ctrl-C
_NO_READER = 141  # where nobody reads the output any more, as in `make stale | head`


class StudyError(Exception):
    """An error for the user: the problem, its place and the remedy, one line per problem."""


def redact(text: str) -> str:
    """Return a text without the passwords of its addresses: `scheme://user:***@host`."""
    return _PASSWORD.sub(r"\1***@", text)


def in_one_line(error: Exception) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())


def name_first(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are: 'a, b and 3 more'."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the allowed name nearest to `given`, or ''."""
    matches = get_close_matches(str(given), list(allowed), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def run_command(main: Callable[[list[str]], None], is_stage: bool = False) -> int:
    """Call `main` with the command line's arguments, in an environment without foreign variables.

    A StudyError becomes lines on stderr, and so does an error of the operating system: a file that
    may not be read, a disk that is full. Ctrl-C ends the command without a word: the user knows.

    Args:
        main: The command.
        is_stage: As for `environment.prepare`.

    Returns:
        The exit status: 0, 1 after an error, 130 after Ctrl-C, or 141 if nobody reads the output.
    """
    environment.prepare(is_stage)
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a locale may lack the × of a count
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return _NO_READER
    except StudyError as error:
        _print_error(str(error))
        return 1
    except OSError as error:
        _print_error(_describe(error))
        _discard_output()  # it may be stdout's
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _print_error(text: str) -> None:
    for line in redact(text).splitlines():
        print(f"error: {line}", file=sys.stderr)


def _describe(error: OSError) -> str:
    """Return an error of the operating system in one line, with the file if it has one."""
    if error.filename is None or error.strerror is None:
        return in_one_line(error)
    return f"{error.filename}: {error.strerror}"


def _open_standard_streams() -> None:
    """Open the standard streams that are closed (`>&-`): else a file that is opened would be one.

    What programs print would be written into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    nowhere = Path(os.devnull)
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")


def _discard_output() -> None:
    """Lead stdout nowhere: else Python tries once more, when it exits, to write what is left."""
    null = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # it is no file: a test captures it
        os.dup2(null, sys.stdout.fileno())
    os.close(null)
