"""What a person sees while DVC runs: a line per stage, and errors as they come."""

import os
import re
import sys
import termios
import threading
import time
from contextlib import suppress

_RUNNING = re.compile(r"Running stage '(?P<stage>[^']+)'")
_CACHED = re.compile(r"Stage '(?P<stage>[^']+)' is cached")
# Lines of DVC that say nothing about results.
_CHATTER = re.compile(
    r"\s*$|> |Stage '.*' didn't change|Updating lock file|Generating lock file|"
    r"To track the changes with git|\s+git add|To enable auto staging|\s+dvc config|Use `dvc push`|"
    r"Data and pipelines are up to date"
)

_CLEAR = "\r\x1b[K"  # a terminal's line, of which a progress bar may be left
_DELAY_S = 0.25  # before errors are passed on: Ctrl-C reaches all processes at once


class Progress:
    """Turns DVC's output into a line per stage: its number, name, duration and last message.

    Attributes:
        stages: The stages that ran, in this order.
    """

    def __init__(self, expected: int | None = None) -> None:
        """Prepare for so many stages that run or are restored, or more; None: without numbers."""
        self.stages: list[str] = []
        self._expected = expected
        self._printed = 0
        self._running = ""
        self._message = ""
        self._started_s = 0.0

    def read(self, line: str) -> None:
        """Read a line that DVC or a stage printed."""
        if match := _RUNNING.match(line):
            self.end_stage()
            self._running, self._message = _name(match["stage"]), ""
            self._started_s = time.monotonic()
            self.stages.append(self._running)
            if sys.stdout.isatty():
                number = self._number(self._printed + 1)
                print(f"{_CLEAR}{number}{self._running} …", end="\r", flush=True)
        elif match := _CACHED.match(line):
            self.end_stage()
            self._print(_name(match["stage"]), "restored", "from DVC's cache")
        elif not _CHATTER.match(line):
            self._message = line.strip()
            if not self._running:
                print(line, flush=True)

    def end_stage(self, failed: bool = False) -> None:
        """Print the line of the stage that is running, if there is one."""
        if self._running:
            took = "failed" if failed else duration(time.monotonic() - self._started_s)
            self._print(self._running, took, self._message)
        self._running = ""

    def _print(self, stage: str, outcome: str, message: str) -> None:
        self._printed += 1
        line = f"{self._number(self._printed)}{stage:32}  {outcome:>10}  {message}".rstrip()
        print(f"{_CLEAR}{line}" if sys.stdout.isatty() else line, flush=True)

    def _number(self, number: int) -> str:
        if self._expected is None:
            return ""
        expected = max(self._expected, number)
        return f"{number:>{len(str(expected))}}/{expected}  "


def _name(address: str) -> str:
    """Return a stage's name without the dvc.yaml that DVC puts before it in a subfolder."""
    return address.rpartition(":")[2]


def duration(seconds: float) -> str:
    """Write a duration for people: 8 s, 2 min 5 s, 1 h 12 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class ErrorOutput:
    """Passes on what DVC and its stages write to stderr, until it is silenced.

    After Ctrl-C each of them would report an error of its own. Where stderr is a terminal, they
    write to a pseudo-terminal, so that they draw progress bars.

    Attributes:
        descriptor: The file descriptor that they should write to.
    """

    def __init__(self) -> None:
        self._silent = False
        if sys.stderr.isatty():
            self._source, self.descriptor = os.openpty()
            termios.tcsetwinsize(self.descriptor, termios.tcgetwinsize(sys.stderr))
        else:
            self._source, self.descriptor = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        with suppress(OSError):  # how a pseudo-terminal ends
            while data := os.read(self._source, 65536):
                time.sleep(_DELAY_S)
                if not self._silent:
                    sys.stderr.buffer.write(data)
                    sys.stderr.buffer.flush()
        os.close(self._source)

    def silence(self) -> None:
        """Drop what comes from now on."""
        self._silent = True

    def close(self) -> None:
        """Pass on the rest, after the processes have ended."""
        os.close(self.descriptor)
        self._thread.join(timeout=2)  # a process that goes on, as a viewer does, keeps it open
