"""Errors for the user: suggestions, and how a command ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from vanishing.errors import StudyError, did_you_mean, name_first, redact, run_command


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [("rleu", " (did you mean relu?)"), ("relu", " (did you mean relu?)"), ("xyz", ""), (3, "")],
)
def test_the_nearest_name_is_suggested_if_one_is_near(given: object, suggestion: str) -> None:
    assert did_you_mean(given, ["sigmoid", "relu"]) == suggestion
    assert did_you_mean(given, []) == ""


def test_a_command_gets_its_arguments_and_ends_with_status_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "a", "b"])
    received: list[str] = []
    assert run_command(received.extend) == 0
    assert received == ["a", "b"]


def test_an_error_for_the_user_is_a_line_per_problem_and_status_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_argv: list[str]) -> None:
        raise StudyError("a problem\nanother one")

    assert run_command(fail) == 1
    printed = capsys.readouterr()
    assert printed.err == "error: a problem\nerror: another one\n"
    assert printed.out == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at https://me:secret@host:5000/x", "at https://me:***@host:5000/x"),
        ("postgresql+psycopg2://me:se%2Fc:r@t@db/mlflow", "postgresql+psycopg2://me:***@db/mlflow"),
        ("s3://:secret@host and http://a:b@c.", "s3://:***@host and http://a:***@c."),
        ("https://host:5000/a@b, me@host", "https://host:5000/a@b, me@host"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_passwords_in_addresses_are_not_printed(
    text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redact(text) == expected

    def fail(_argv: list[str]) -> None:
        raise StudyError(text)

    run_command(fail)
    assert capsys.readouterr().err == f"error: {expected}\n"


def test_an_error_of_the_operating_system_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda _argv: (tmp_path / "nothing").rmdir()) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/nothing: No such file or directory\n"


def run_printing(
    redirection: str, command: str = "[print('a line') for _ in range(20_000)]"
) -> subprocess.CompletedProcess[str]:
    """Run a command, as a shell runs it with a redirection."""
    code = (
        "import os, sys; from vanishing.errors import name_first, run_command;"
        f"sys.exit(run_command(lambda _: {command}))"
    )
    script = f'"$0" -c "$1" {redirection}'
    return subprocess.run(
        ["/bin/bash", "-c", script, sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    done = run_printing("| head -n 1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (141, "a line\n", "")


def test_output_that_cannot_be_written_is_one_line() -> None:
    done = run_printing(">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: [Errno 28] No space left on device\n"


def test_output_may_be_closed() -> None:
    done = run_printing("<&- >&-", "open(os.devnull).fileno() <= 2 and sys.exit(3)")
    assert (done.returncode, done.stderr) == (0, "")  # what is printed is in no file


def test_any_other_exception_is_not_hidden() -> None:
    def fail(_argv: list[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(fail)


def test_of_many_names_the_first_are_named_and_the_others_counted() -> None:
    assert name_first(["a", "b"]) == "a, b"
    assert name_first([*"abcdefg"]) == "a, b, c, d, e and 2 more"
